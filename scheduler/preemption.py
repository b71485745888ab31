"""Who gives way when KV pages run out.

Of its pool, the stream of the highest priority number, and among those the one admitted last, gives all its pages
back and waits again; its committed tokens are kept and computed again later, as far as the prefix cache has lost them.
Nobody else is asked while pages are already on their way back.

The same happens to a tenant that has more than its share of what runs, when another one that has less waits in vain.
"""

import numpy as np
import numpy.typing as npt

from scheduler.ledger import Ledger
from scheduler.stream import SlotState, Stream


def make_room(ledger: Ledger, needy: int) -> None:
    """Preempt one stream, perhaps `needy` itself, unless pages of a leaving slot will be free soon."""
    is_near = ledger.pages.pool == ledger.pages.pool[needy]
    if _is_on_its_way(ledger, is_near):
        return
    running = np.flatnonzero((ledger.state == SlotState.RUNNING) & is_near).tolist()
    victim = max(running, key=lambda slot: (ledger.priority[slot], ledger.order[slot]), default=needy)
    ledger.preempt(victim)
    ledger.num_preemptions += 1


def make_way(ledger: Ledger, waiting: Stream, pool: int) -> None:
    """`waiting` cannot be admitted to `pool`: if its tenant runs less than its share, the newest stream of the tenant
    that runs most is preempted, provided that it stays above its share."""
    is_near = ledger.pages.pool == pool
    slots = np.flatnonzero((ledger.state == SlotState.RUNNING) & is_near)
    if ledger.shares.num_active < 2 or not len(slots) or _is_on_its_way(ledger, is_near):
        return
    running = np.bincount(ledger.tenant[slots], minlength=len(ledger.shares.paid))
    share = len(slots) / ledger.shares.num_active
    richest = int(running.argmax())
    if running[ledger.shares.index_of(waiting.tenant)] + 1 > share or running[richest] - 1 < share:
        return
    victims = [slot for slot in slots[ledger.tenant[slots] == richest].tolist() if _yields(ledger, slot, waiting)]
    if victims:
        ledger.preempt(max(victims, key=lambda slot: int(ledger.order[slot])))
        ledger.num_preemptions += 1


def _is_on_its_way(ledger: Ledger, is_near: npt.NDArray[np.bool_]) -> bool:
    """Slots and pages will be free as soon as a step in flight ends."""
    leaving = (ledger.state == SlotState.PREEMPTED) | (ledger.state == SlotState.CLOSED)
    return bool((leaving & is_near).any())


def _yields(ledger: Ledger, slot: int, waiting: Stream) -> bool:
    """Only a stream that will then wait behind `waiting`: another one would be admitted before it, again and again."""
    priority = int(ledger.priority[slot])
    if priority != waiting.priority:
        return priority > waiting.priority
    return bool(ledger.shares.paid[ledger.tenant[slot]] >= ledger.shares.paid_by(waiting.tenant))
