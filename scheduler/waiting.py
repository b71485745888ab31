"""Streams that wait to run, bounded in tokens.

Order: lower priority number first; within a class the tenant that has paid least (`fair_shares.py`); within a tenant
arrival, and a preempted stream goes back to the front. Beyond the bound a new request is refused at once with the time
after which it is worth coming back (`admission.py`).
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

import numpy as np

from scheduler.fair_shares import FairShares
from scheduler.stream import Stream, StreamKey

_Queue = OrderedDict[StreamKey, Stream]


class WaitingQueue:
    """Waiting streams of one model. `shares` knows what their tenants have paid."""

    def __init__(self, shares: FairShares) -> None:
        self._shares = shares
        self._classes: dict[int, dict[str, _Queue]] = {}  # by priority and tenant; none of them is empty
        self.num_waiting = 0
        self.num_tokens = 0  # tokens still to compute before their first output token, and their rules' size

    def push(self, stream: Stream) -> None:
        """Behind the others of its class and tenant."""
        queue = self._classes.setdefault(stream.priority, {}).setdefault(stream.tenant, OrderedDict())
        queue[stream.key] = stream
        self._count(stream, 1)

    def push_front(self, stream: Stream) -> None:
        """Before the others of its class and tenant: it has run already."""
        self.push(stream)
        self._classes[stream.priority][stream.tenant].move_to_end(stream.key, last=False)

    def remove(self, stream: Stream) -> None:
        """It is admitted, or was closed while it waited."""
        tenants = self._classes[stream.priority]
        del tenants[stream.tenant][stream.key]
        if not tenants[stream.tenant]:
            del tenants[stream.tenant]
        if not tenants:
            del self._classes[stream.priority]
        self._count(stream, -1)

    def scan(self, limit: int) -> list[Stream]:
        """The first `limit` streams in order, as if each had paid for its prompt when the next is looked for."""
        return list(islice(self._in_order(limit), limit))

    def _in_order(self, limit: int) -> Iterator[Stream]:
        for priority in sorted(self._classes):
            tenants = self._classes[priority]
            if len(tenants) == 1:
                yield from next(iter(tenants.values())).values()
            else:
                yield from self._in_turn(tenants, limit)

    def _in_turn(self, tenants: dict[str, _Queue], limit: int) -> Iterator[Stream]:
        paid_by = self._shares.paid[[self._shares.index_of(tenant) for tenant in tenants]]
        poorest = np.argsort(paid_by, kind="stable")[:limit]  # no more of them can have a turn
        all_queues = list(tenants.values())
        queues = [
            (float(paid_by[place]), turn, iter(all_queues[place].values()))
            for turn, place in enumerate(poorest.tolist())
        ]
        while queues:
            paid, turn, queue = queues[0]
            stream = next(queue, None)
            if stream is None:
                heapq.heappop(queues)
            else:
                heapq.heapreplace(queues, (paid + len(stream.tokens), turn, queue))
                yield stream

    def _count(self, stream: Stream, sign: int) -> None:
        self.num_waiting += sign
        self.num_tokens += sign * stream.weight
