"""Streams that wait to run, bounded in tokens.

Order: lower priority number first; within a class the tenant that has paid least (`fair_shares.py`); within a tenant
whoever is due first (`prompt_clock.py`), and of those due together the one that came first. Who ran already is due at
once. Beyond the bound a new request is refused with the time after which it is worth coming back (`admission.py`).
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice

import numpy as np

from scheduler.fair_shares import FairShares
from scheduler.stream import Stream

_Queue = list[tuple[int, int, Stream]]  # due, number, stream; sorted. Moving 50,000 of them costs some 10 us


class WaitingQueue:
    """Waiting streams of one model. `shares` knows what their tenants have paid."""

    def __init__(self, shares: FairShares) -> None:
        self._shares = shares
        self._classes: dict[int, dict[str, _Queue]] = {}  # by priority and tenant; none of them is empty
        self.num_waiting = 0
        self.num_tokens = 0  # tokens still to compute before their first output token, and their rules' size

    def push(self, stream: Stream) -> None:
        """Line it up; its due time and number must not change while it waits."""
        queue = self._classes.setdefault(stream.priority, {}).setdefault(stream.tenant, [])
        insort(queue, _entry(stream))
        self._count(stream, 1)

    def remove(self, stream: Stream) -> None:
        """It is admitted, or was closed while it waited. Raises RuntimeError when it is not here."""
        tenants = self._classes[stream.priority]
        queue = tenants[stream.tenant]
        place = bisect_left(queue, _entry(stream))
        if place == len(queue) or queue[place][2] is not stream:
            raise RuntimeError(f"stream {stream.request_id} does not wait where it was lined up")
        del queue[place]
        if not queue:
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
                for _, _, stream in next(iter(tenants.values())):
                    yield stream
            else:
                yield from self._in_turn(tenants, limit)

    def _in_turn(self, tenants: dict[str, _Queue], limit: int) -> Iterator[Stream]:
        paid_by = self._shares.paid[[self._shares.index_of(tenant) for tenant in tenants]]
        poorest = np.argsort(paid_by, kind="stable")[:limit]  # no more of them can have a turn
        all_queues = list(tenants.values())
        queues = [(float(paid_by[place]), turn, iter(all_queues[place])) for turn, place in enumerate(poorest.tolist())]
        while queues:
            paid, turn, queue = queues[0]
            entry = next(queue, None)
            if entry is None:
                heapq.heappop(queues)
            else:
                stream = entry[2]
                heapq.heapreplace(queues, (paid + len(stream.tokens), turn, queue))
                yield stream

    def _count(self, stream: Stream, sign: int) -> None:
        self.num_waiting += sign
        self.num_tokens += sign * stream.weight


def _entry(stream: Stream) -> tuple[int, int, Stream]:
    return stream.due, stream.number, stream
