"""Score jobs of one model. Tenants take turns, and among one's jobs pairs of each: a small request is not stuck behind
a large one, and nobody behind somebody else's many.
"""

from collections import OrderedDict
from dataclasses import dataclass

from ipc.model_card import ModelCard
from scheduler.step_budget import StepBudget
from scheduler.stream import ScoreJob, StreamKey
from scheduler.suspects import is_suspect


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """Rows of one SCORE step; its pairs are no longer waiting."""

    pairs: list[tuple[ScoreJob, int]]
    is_alone: bool = False


class ScoreQueue:
    """All open score jobs of one model. A pair is either waiting in its job's `to_plan`, in flight, or done."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.jobs: dict[StreamKey, ScoreJob] = {}
        # By tenant, jobs with pairs to plan; whoever is first has its turn. No tenant is without a job.
        self._turns: OrderedDict[str, OrderedDict[StreamKey, ScoreJob]] = OrderedDict()
        self.num_waiting_tokens = 0
        self.num_in_flight = 0  # pairs

    @property
    def num_waiting(self) -> int:
        """Jobs none of whose pairs was planned yet."""
        return sum(len(job.to_plan) == job.num_pairs for jobs in self._turns.values() for job in jobs.values())

    @property
    def num_running(self) -> int:
        return len(self.jobs) - self.num_waiting

    def add(self, job: ScoreJob) -> None:
        """A new job, all its pairs waiting."""
        self.jobs[job.key] = job
        self._line_up(job)
        self.num_waiting_tokens += job.num_waiting_tokens

    @property
    def has_suspect_next(self) -> bool:
        """The pair whose turn it is must run alone."""
        return bool(self._turns) and is_suspect(self._next(), self._next().to_plan[-1])

    def plan(self, budget: StepBudget) -> ScorePlan | None:
        """Fill a step with pairs, one of each job in turn. A suspect goes alone, and a pair longer than the budget.

        The first pair that does not fit any more ends the step and begins the next one: nobody overtakes it for ever.
        """
        is_alone = self.has_suspect_next
        pairs: list[tuple[ScoreJob, int]] = []
        while self._turns and budget.can_add():
            job = self._next()
            length = job.length(job.to_plan[-1])
            if pairs and (length > budget.tokens or is_alone or is_suspect(job, job.to_plan[-1])):
                break
            pairs.append((job, job.to_plan.pop()))
            budget.add(length)
            self.num_waiting_tokens -= length
            self._end_turn(job)
        self.num_in_flight += len(pairs)
        return ScorePlan(pairs, is_alone) if pairs else None

    def land(self, pairs: list[tuple[ScoreJob, int]]) -> None:
        """These pairs are no longer in flight."""
        self.num_in_flight -= len(pairs)

    def requeue(self, job: ScoreJob, pair: int) -> None:
        """A pair whose step was lost waits again, before the job's other pairs."""
        job.to_plan.append(pair)
        self._line_up(job)
        self.num_waiting_tokens += job.length(pair)

    def close(self, job: ScoreJob) -> None:
        """The job had its final message; what of it is in flight is dropped when it comes back."""
        job.is_closed = True
        self.num_waiting_tokens -= job.num_waiting_tokens
        job.to_plan.clear()
        self._leave_line(job)
        self.jobs.pop(job.key, None)

    def _next(self) -> ScoreJob:
        jobs = next(iter(self._turns.values()))
        return next(iter(jobs.values()))

    def _line_up(self, job: ScoreJob) -> None:
        self._turns.setdefault(job.tenant, OrderedDict())[job.key] = job

    def _end_turn(self, job: ScoreJob) -> None:
        """The next turn is another tenant's, and the tenant's next one another job's."""
        jobs = self._turns[job.tenant]
        jobs.move_to_end(job.key)
        self._turns.move_to_end(job.tenant)
        if not job.to_plan:
            self._leave_line(job)

    def _leave_line(self, job: ScoreJob) -> None:
        jobs = self._turns.get(job.tenant)
        if jobs is not None and jobs.pop(job.key, None) is not None and not jobs:
            del self._turns[job.tenant]
