"""Who gives way when KV pages run out.

Of its pool, the stream of the highest priority number, and among those the one admitted last, gives all its pages
back and waits again; its committed tokens are kept and computed again later, as far as the prefix cache has lost them.
Nobody else is asked while pages are already on their way back.
"""

import numpy as np

from scheduler.ledger import Ledger
from scheduler.stream import SlotState


def make_room(ledger: Ledger, needy: int) -> None:
    """Preempt one stream, perhaps `needy` itself, unless pages of a leaving slot will be free soon."""
    is_near = ledger.pages.pool == ledger.pages.pool[needy]
    leaving = (ledger.state == SlotState.PREEMPTED) | (ledger.state == SlotState.CLOSED)
    if (leaving & is_near).any():
        return
    running = np.flatnonzero((ledger.state == SlotState.RUNNING) & is_near).tolist()
    victim = max(running, key=lambda slot: (_priority(ledger, slot), ledger.order[slot]), default=needy)
    ledger.preempt(victim)
    ledger.num_preemptions += 1


def _priority(ledger: Ledger, slot: int) -> int:
    stream = ledger.streams[slot]
    return stream.priority if stream is not None else int(np.iinfo(np.int32).max)
