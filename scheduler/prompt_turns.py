"""Whose prompt is computed next, in what decoding left of a step: prefills that run, and waiting streams, which are
admitted when it is their turn.

By priority, then the tenant that has paid least, then who is due first (`prompt_clock.py`). A waiting stream is due
before a prefill that runs: it is admitted and gets its chunk first, and the other one keeps its pages meanwhile. A step
ends where a prompt does, rather than with a part of the next one: steps as long as they should be are as fast as longer
ones, and first tokens come with a step's end.
"""

from collections import deque

import numpy as np

from scheduler.ledger import Ledger, Slots
from scheduler.placement import Placement
from scheduler.preemption import make_way
from scheduler.step_draft import StepDraft
from scheduler.stream import SlotState, Stream
from scheduler.suspects import SUSPECT_DEATHS
from scheduler.to_frontend import FrontendOutbox
from scheduler.worker_peer import WorkerPeer

MAX_DEFERRED = 32  # waiting streams looked past because another one computes their prefix right now


def add_prompts(
    ledger: Ledger, peer: WorkerPeer, placement: Placement, frontends: FrontendOutbox, prefills: Slots, draft: StepDraft
) -> None:
    """Fill the step with chunks of `prefills`, which run on the worker, and of streams that are admitted to it."""
    running = deque(_in_turn(ledger, prefills))
    may_admit = ledger.waiting.num_waiting > 0
    while draft.budget.can_add() and (running or may_admit):
        stream = _next_to_admit(ledger, peer, placement, running) if may_admit else None
        if stream is not None:
            if draft.ends_here and ledger.num_to_compute(stream) > draft.budget.tokens:
                return
            slot = _admit(ledger, stream, peer, frontends)
            # An admitted suspect has a step to itself. And where one gets no chunk, those behind it would fill the
            # slots and get nothing either.
            may_admit = slot is not None and ledger.num_deaths[slot] < SUSPECT_DEATHS and draft.add_chunk(slot)
        elif running:
            slot = running.popleft()
            if draft.ends_here and ledger.to_plan[slot] > draft.budget.tokens:
                return
            # It may have been preempted just now, or have its chunk already.
            if ledger.state[slot] == SlotState.RUNNING and slot not in draft.slots:
                draft.add_chunk(slot)
        else:
            return


def _in_turn(ledger: Ledger, prefills: Slots) -> list[int]:
    """Slots in the order in which they get what is left of a step."""
    if len(prefills) > 1:
        paid = ledger.shares.paid[ledger.tenant[prefills]]
        keys = (ledger.order[prefills], ledger.due[prefills], paid, ledger.priority[prefills])
        prefills = prefills[np.lexsort(keys)]  # the last key counts most
    slots: list[int] = prefills.tolist()
    return slots


def _next_to_admit(ledger: Ledger, peer: WorkerPeer, placement: Placement, running: deque[int]) -> Stream | None:
    """The first waiting stream that may run on the worker now, if its turn is before the first of `running`."""
    if not ledger.has_free_slot or not placement.admits(peer):
        return None
    if len(ledger.running_on(peer.worker_id)) >= placement.share_of(peer):
        return None
    lacks_rules_room = False
    for stream in ledger.waiting.scan(MAX_DEFERRED):
        if running and not _goes_before(ledger, stream, running[0]):
            return None
        if stream.rules and (lacks_rules_room or not ledger.rules.has_room(stream.rules)):
            lacks_rules_room = True  # it keeps its turn among those with rules; the others need none of that room
            continue
        if placement.belongs_elsewhere(ledger, stream, peer):
            continue
        if stream.num_prompt_logprobs < 0 and ledger.pages.is_prefix_being_computed(stream, peer.pool):
            continue
        return stream
    return None


def _goes_before(ledger: Ledger, stream: Stream, slot: int) -> bool:
    """Whether a waiting stream's turn is before that of a prefill that runs.

    That its tenant has paid less is not enough: each chunk makes another tenant the poorest, and the prompts of all of
    them would lie there half done.
    """
    if stream.priority != ledger.priority[slot]:
        return stream.priority < int(ledger.priority[slot])
    paid = float(ledger.shares.paid[ledger.tenant[slot]])
    return stream.due < int(ledger.due[slot]) and ledger.shares.paid_by(stream.tenant) <= paid


def _admit(ledger: Ledger, stream: Stream, peer: WorkerPeer, frontends: FrontendOutbox) -> int | None:
    """Its slot. None: no room; those behind it do not get it first, or it would be overtaken for ever."""
    slot = ledger.admit(stream, peer.worker_id, peer.pool, frontends.index_of(stream.key.frontend))
    if slot is None:
        make_way(ledger, stream, peer.pool)
    else:
        ledger.waiting.remove(stream)
    return slot
