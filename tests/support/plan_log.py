"""What an engine's scheduler planned, step by step."""

from dataclasses import dataclass

from scheduler.ledger import Ledger
from scheduler.step_draft import GeneratePlan
from scheduler.worker_peer import WorkerPeer
from tests.support.engine_in_process import Engine


@dataclass(frozen=True)
class PlannedRow:
    """One row of a step: positions from `start` of a stream."""

    stream_id: int
    start: int
    num_new: int
    is_prompt: bool

    @property
    def end(self) -> int:
        return self.start + self.num_new


class PlanLog:
    """Notes every GENERATE step that is submitted from now on."""

    def __init__(self, engine: Engine) -> None:
        self.steps: list[list[PlannedRow]] = []
        self._submit = engine.state.writer.submit_generate
        engine.state.writer.submit_generate = self._note  # type: ignore[method-assign]

    def _note(self, peer: WorkerPeer, ledger: Ledger, plan: GeneratePlan) -> bool:
        starts = (ledger.num_planned[plan.slots] - plan.num_new).tolist()
        rows = zip(plan.slots.tolist(), starts, plan.num_new.tolist(), strict=True)
        self.steps.append(
            [
                PlannedRow(int(ledger.stream_id[slot]), start, num_new, start < int(ledger.num_prompt[slot]))
                for slot, start, num_new in rows
            ]
        )
        return self._submit(peer, ledger, plan)

    def chunks(self) -> list[tuple[int, int]]:
        """(stream, tokens) of all rows of prompts so far."""
        return [(row.stream_id, row.num_new) for step in self.steps for row in step if row.is_prompt]

    def prompt_order(self) -> list[int]:
        """Streams by their first chunks."""
        return list(dict.fromkeys(stream_id for stream_id, _ in self.chunks()))
