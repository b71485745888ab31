"""The rows of one step: added one by one or many at once while it is planned, then taken off as a whole.

Knows how a row gets its pages and what it leaves of the step's budget; who gets a row is the planner's affair.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler.commit import release_leaving
from scheduler.ledger import Ledger, Slots
from scheduler.preemption import make_room
from scheduler.step_budget import StepBudget
from scheduler.step_pace import FEWEST_TOKENS

MAX_TOLD_CHUNK = 128  # tokens of a prefill that tells the prompt's log-probabilities: each costs a row of logits


@dataclass(frozen=True, slots=True)
class GeneratePlan:
    """Rows of one step. Already counted as planned in the ledger."""

    slots: Slots
    num_new: npt.NDArray[np.int32]
    samples: npt.NDArray[np.bool_]
    num_prompt_tokens: int  # of all chunks
    is_alone: bool
    leaves_out: bool  # streams that decode wait for a later step: prompts have this one to themselves


class StepDraft:
    """Lives while one step is planned. A row is in flight from when it is added: should its stream give way before the
    plan is complete, it keeps its slot and pages until the step is done.
    """

    def __init__(self, ledger: Ledger, budget: StepBudget) -> None:
        self.budget = budget
        self.slots: list[int] = []
        self._num_new: list[int] = []
        self._num_prompt_tokens = 0
        self._finishes = False  # a prompt
        self._ledger = ledger

    @property
    def ends_here(self) -> bool:
        """A prompt is through with it, and enough is computed: what is not through in this step would only delay that
        prompt's first token."""
        return self._finishes and self.budget.ends_with_prompt and self._num_prompt_tokens >= FEWEST_TOKENS

    def add_chunk(self, slot: int, limit: int | None = None) -> bool:
        """The next tokens of a slot, at most `limit`. False: nothing of it can be computed in this step."""
        ledger, budget = self._ledger, self.budget
        num_new = min(int(ledger.to_plan[slot]), budget.tokens, limit or budget.tokens)
        if ledger.num_prompt_logprobs[slot] >= 0:
            num_new = min(num_new, MAX_TOLD_CHUNK)
        if ledger.rules_id[slot] and not budget.takes_history(int(ledger.num_planned[slot])):
            return False
        if not ledger.pages.cover(slot, int(ledger.num_planned[slot]) + num_new):
            make_room(ledger, slot)
            return False
        budget.add(num_new)
        self.slots.append(slot)
        self._num_new.append(num_new)
        self._num_prompt_tokens += num_new
        self._finishes |= num_new == ledger.to_plan[slot]
        ledger.in_flight[slot] += 1
        return True

    def add_tokens(self, slots: Slots) -> None:
        """One token of each slot; their pages cover it."""
        self.budget.add(len(slots), len(slots))
        self.slots += slots.tolist()
        self._num_new += [1] * len(slots)
        self._ledger.in_flight[slots] += 1

    def take_off(self, is_alone: bool = False, leaves_out: bool = False) -> GeneratePlan | None:
        """Count the rows as planned; None of none."""
        if not self.slots:
            return None
        ledger, slots, num_new = self._ledger, np.array(self.slots, np.intp), np.array(self._num_new, np.int32)
        known_and_pending = ledger.num_tokens[slots] + ledger.num_pending[slots]
        ledger.num_planned[slots] += num_new
        samples = (ledger.num_planned[slots] == known_and_pending) & (known_and_pending < ledger.max_total[slots])
        ledger.num_pending[slots] += samples
        ledger.clock.now += self._num_prompt_tokens
        ledger.num_plans += 1
        ledger.last_planned[slots] = ledger.num_plans
        return GeneratePlan(slots, num_new, samples, self._num_prompt_tokens, is_alone, leaves_out)


def take_back(ledger: Ledger, plan: GeneratePlan) -> None:
    """Undo a plan that could not be submitted; streams admitted for it stay admitted."""
    ledger.num_planned[plan.slots] -= plan.num_new
    ledger.num_pending[plan.slots] -= plan.samples
    ledger.in_flight[plan.slots] -= 1
    ledger.clock.now -= plan.num_prompt_tokens
    release_leaving(ledger, plan.slots)
