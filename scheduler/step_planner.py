"""THE policy: which streams, and how many of their tokens, the next step of a worker computes.

Decode first: every stream of the worker that is due gets its one token. What is left of the step's budget goes to
prefills in the order of their admission, in chunks, then to waiting streams, which are admitted as far as slots and
pages reach.
When a stream that runs needs a page and none is free, the one that came last gives its pages back (`preemption.py`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler.ledger import Ledger, Slots
from scheduler.preemption import make_room
from scheduler.step_budget import StepBudget
from scheduler.stream import SlotState
from scheduler.to_frontend import FrontendOutbox

MAX_DEFERRED = 32  # waiting streams looked past because another one computes their prefix right now


@dataclass(frozen=True, slots=True)
class GeneratePlan:
    """Rows of one step. Already counted as planned in the ledger."""

    slots: Slots
    num_new: npt.NDArray[np.int32]
    samples: npt.NDArray[np.bool_]


def plan_generate(
    ledger: Ledger, worker: int, fair_share: int, budget: StepBudget, frontends: FrontendOutbox
) -> GeneratePlan | None:
    """Plan one step of a generate model for `worker`, or None when nothing of it can be computed now.

    `fair_share` is how many streams the worker should be responsible for at most. Marks the rows as in flight.
    """
    to_plan = ledger.to_plan
    mine = (ledger.worker == worker) & (ledger.state == SlotState.RUNNING)
    rows = _decode_rows(ledger, np.flatnonzero(mine & (to_plan == 1)), budget)
    counts = [1] * len(rows)
    prefills = np.flatnonzero(mine & (to_plan > 1))
    for slot in prefills[np.argsort(ledger.order[prefills])].tolist():
        if not budget.can_add():
            break
        if ledger.state[slot] == SlotState.RUNNING:  # a decode row may have preempted it a moment ago
            _add_chunk(ledger, slot, budget, rows, counts)
    while budget.can_add() and len(ledger.running_on(worker)) < fair_share:
        slot = _admit_next(ledger, worker, frontends)
        if slot is None:
            break
        _add_chunk(ledger, slot, budget, rows, counts)
    return _take_off(ledger, np.array(rows, np.intp), np.array(counts, np.int32)) if rows else None


def _decode_rows(ledger: Ledger, due: Slots, budget: StepBudget) -> list[int]:
    if len(due) > min(budget.tokens, budget.rows):  # not all fit: those that waited longest
        due = due[np.argsort(ledger.last_planned[due], kind="stable")][: min(budget.tokens, budget.rows)]
    lacks_page = ledger.num_planned[due] >= ledger.num_blocks[due] * ledger.block_size
    for slot in due[lacks_page].tolist():
        if ledger.state[slot] == SlotState.RUNNING and not ledger.cover(slot, int(ledger.num_planned[slot]) + 1):
            make_room(ledger, slot)  # the slot itself is planned again once there is room
    covered = ledger.num_planned[due] < ledger.num_blocks[due] * ledger.block_size
    rows: list[int] = due[covered & (ledger.state[due] == SlotState.RUNNING)].tolist()
    budget.add(len(rows), len(rows))
    return rows


def _add_chunk(ledger: Ledger, slot: int, budget: StepBudget, rows: list[int], counts: list[int]) -> None:
    num_new = min(int(ledger.to_plan[slot]), budget.tokens)
    if not ledger.cover(slot, int(ledger.num_planned[slot]) + num_new):
        make_room(ledger, slot)
        return
    budget.add(num_new)
    rows.append(slot)
    counts.append(num_new)


def _admit_next(ledger: Ledger, worker: int, frontends: FrontendOutbox) -> int | None:
    if not ledger.has_free_slot:
        return None
    for stream in ledger.waiting.scan(MAX_DEFERRED):
        if ledger.is_prefix_being_computed(stream):
            continue
        slot = ledger.admit(stream, worker, frontends.index_of(stream.key.frontend))
        if slot is not None:
            ledger.waiting.remove(stream)
        return slot  # not admitted: those behind it must not overtake it for ever
    return None


def _take_off(ledger: Ledger, slots: Slots, num_new: npt.NDArray[np.int32]) -> GeneratePlan:
    known_and_pending = ledger.num_tokens[slots] + ledger.num_pending[slots]
    ledger.num_planned[slots] += num_new
    samples = (ledger.num_planned[slots] == known_and_pending) & (known_and_pending < ledger.max_total[slots])
    ledger.num_pending[slots] += samples
    ledger.in_flight[slots] += 1
    ledger.last_planned[slots] = ledger.last_planned.max() + 1
    return GeneratePlan(slots, num_new, samples)


def take_back(ledger: Ledger, plan: GeneratePlan) -> None:
    """Undo a plan that could not be submitted; streams admitted for it stay admitted."""
    ledger.num_planned[plan.slots] -= plan.num_new
    ledger.num_pending[plan.slots] -= plan.samples
    ledger.in_flight[plan.slots] -= 1
