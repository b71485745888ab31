"""THE policy: which streams, and how many of their tokens, the next step of a worker computes.

A suspect first, alone (`suspects.py`). Else prompts alone, for a few steps: beside prompts a token of a stream that
decodes costs as much as one and a half of theirs, and a burst's first tokens come earlier without. Else decode first:
every stream of the worker that is due gets its one token, and what is left of the step's budget goes to prompts. They
get it in chunks and in turn (`prompt_turns.py`); streams that wait are admitted as far as slots and pages reach.
When a stream that runs needs a page and none is free, the one that came last gives its pages back; and where a tenant
has less than its share and cannot be admitted, the one that has most gives way (`preemption.py`).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scheduler.ledger import Ledger, Slots
from scheduler.placement import Placement
from scheduler.preemption import make_room, make_way
from scheduler.prompt_turns import add_prompts
from scheduler.step_budget import StepBudget
from scheduler.step_draft import GeneratePlan, StepDraft
from scheduler.step_pace import FEWEST_TOKENS
from scheduler.stream import SlotState
from scheduler.suspects import suspects_on
from scheduler.to_frontend import FrontendOutbox
from scheduler.worker_peer import WorkerPeer

MAX_LEFT_OUT = 8  # steps in a row
_RUNNING = int(SlotState.RUNNING)  # looking up a member of an enum takes as long as comparing a small column


def plan_generate(
    ledger: Ledger,
    peer: WorkerPeer,
    placement: Placement,
    budget: StepBudget,
    may_leave_out: bool,
    frontends: FrontendOutbox,
) -> GeneratePlan | None:
    """Plan one step of a generate model for `peer`, or None when nothing of it can be computed now.

    `may_leave_out`: streams that decode may wait for a later step, if prompts fill this one. Marks the rows as in
    flight. With a suspect on the worker nothing else may be in flight there.
    """
    suspects = suspects_on(ledger, peer.worker_id)
    if len(suspects):
        return _plan_alone(ledger, suspects, budget)
    _make_way(ledger, peer, placement)
    to_plan = _to_plan(ledger, peer.worker_id, placement)
    prefills = (to_plan > 1).nonzero()[0]
    prompts_alone = may_leave_out and _fill_step(ledger, to_plan, prefills, budget)
    if prompts_alone:
        draft = StepDraft(ledger, replace(budget))
        draft.budget.pace_prefill(FEWEST_TOKENS)
        add_prompts(ledger, peer, placement, frontends, _without_first_token(ledger, to_plan), draft)
        if draft.slots:
            return draft.take_off(leaves_out=True)
        to_plan = _to_plan(ledger, peer.worker_id, placement)  # one may have given way for nothing
    draft = StepDraft(ledger, budget)
    _add_overdue_prefill(ledger, to_plan, draft)
    _add_decoding(ledger, (to_plan == 1).nonzero()[0], draft)
    if not prompts_alone:  # else nothing of them can be computed now
        budget.pace_prefill(FEWEST_TOKENS if draft.slots else 2 * FEWEST_TOKENS)  # with nobody's next token in it
        add_prompts(ledger, peer, placement, frontends, prefills, draft)
    return draft.take_off()


def _fill_step(ledger: Ledger, to_plan: npt.NDArray[np.int32], prefills: Slots, budget: StepBudget) -> bool:
    """There are prompts enough for a step of their own, beside streams that decode. Of fewer tokens a step takes as
    long as reading the weights does, and single tokens cost next to nothing in it."""
    if not (len(prefills) or ledger.waiting.num_waiting) or budget.tokens < FEWEST_TOKENS:
        return False
    if ledger.waiting.num_tokens + int(to_plan[prefills].sum()) < FEWEST_TOKENS:
        return False
    return bool(np.count_nonzero((to_plan == 1) & (ledger.num_planned >= ledger.num_prompt)))


def _without_first_token(ledger: Ledger, to_plan: npt.NDArray[np.int32]) -> Slots:
    """Prefills; also one whose last token is all that is left."""
    slots: Slots = ((to_plan > 1) | ((to_plan == 1) & (ledger.num_planned < ledger.num_prompt))).nonzero()[0]
    return slots


def _add_overdue_prefill(ledger: Ledger, to_plan: npt.NDArray[np.int32], draft: StepDraft) -> None:
    """A chunk of a prefill with rules that was left out of many steps: decoding rows take their history first, and
    could leave it no room for ever."""
    if ledger.rules.num_leases == 0:
        return
    ruled = np.flatnonzero((to_plan > 0) & (ledger.rules_id > 0))
    if len(ruled) > 1:
        slot = int(ruled[np.argmin(ledger.last_planned[ruled])])
        if to_plan[slot] > 1 and ledger.last_planned[slot] < ledger.num_plans - MAX_LEFT_OUT:
            draft.add_chunk(slot, limit=max(1, draft.budget.tokens // 2))


def _to_plan(ledger: Ledger, worker: int, placement: Placement) -> npt.NDArray[np.int32]:
    """[slots] tokens to compute of those the worker runs, else 0. A worker that only prefills leaves output to others:
    a token drawn in a step in flight is theirs."""
    due: npt.NDArray[np.bool_] = (ledger.worker == worker) & (ledger.state == _RUNNING)
    if worker in placement.handing_over:
        due &= ledger.num_planned < ledger.num_tokens
    return np.where(due, ledger.to_plan, 0)


def _plan_alone(ledger: Ledger, suspects: Slots, budget: StepBudget) -> GeneratePlan | None:
    """A step of the first suspect that has something to compute and gets its pages."""
    for slot in suspects[ledger.to_plan[suspects] > 0].tolist():
        draft = StepDraft(ledger, budget)
        if draft.add_chunk(slot):
            return draft.take_off(is_alone=True)
    return None


def _add_decoding(ledger: Ledger, due: Slots, draft: StepDraft) -> None:
    most = min(draft.budget.tokens, draft.budget.rows)
    if len(due) > most:  # not all fit: those that waited longest
        due = due[np.argsort(ledger.last_planned[due], kind="stable")][:most]
    num_blocks = ledger.pages.num_blocks
    lacks_page = ledger.num_planned[due] >= num_blocks[due] * ledger.block_size
    if np.count_nonzero(lacks_page):  # also of a slot that was preempted just now
        for slot in due[lacks_page].tolist():
            if ledger.state[slot] == _RUNNING and not ledger.pages.cover(slot, int(ledger.num_planned[slot]) + 1):
                make_room(ledger, slot)  # the slot itself is planned again once there is room
        covered = ledger.num_planned[due] < num_blocks[due] * ledger.block_size
        due = due[covered & (ledger.state[due] == _RUNNING)]
    draft.add_tokens(_with_history(ledger, due, draft.budget))


def _with_history(ledger: Ledger, slots: Slots, budget: StepBudget) -> Slots:
    """Without those whose earlier tokens do not fit the step; whoever waited longest comes first."""
    if ledger.rules.num_leases == 0:
        return slots
    left_out = [
        slot
        for slot in slots[np.argsort(ledger.last_planned[slots], kind="stable")].tolist()
        if ledger.rules_id[slot] and not budget.takes_history(int(ledger.num_planned[slot]))
    ]
    return slots[~np.isin(slots, left_out)]


def _make_way(ledger: Ledger, peer: WorkerPeer, placement: Placement) -> None:
    """All slots are taken: perhaps by one tenant, while another waits."""
    if ledger.waiting.num_waiting and not ledger.has_free_slot and placement.admits(peer):
        make_way(ledger, ledger.waiting.scan(1)[0], peer.pool)
