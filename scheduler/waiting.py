"""Streams and score jobs that wait to run, bounded in tokens.

Order: lower priority number first, then arrival; a preempted stream goes back to the front of its class. Beyond the
bound a new request is refused at once with the time after which it is worth coming back.
"""

from collections import OrderedDict
from itertools import chain, islice

from scheduler.stream import Stream, StreamKey


class WaitingQueue:
    """Waiting streams of one model, by priority class and then in order."""

    def __init__(self) -> None:
        self._classes: dict[int, OrderedDict[StreamKey, Stream]] = {}
        self.num_waiting = 0
        self.num_tokens = 0  # tokens still to compute before their first output token

    def push(self, stream: Stream) -> None:
        """At the end of its class."""
        self._classes.setdefault(stream.priority, OrderedDict())[stream.key] = stream
        self._count(stream, 1)

    def push_front(self, stream: Stream) -> None:
        """Before all others of its class: it has run already."""
        self.push(stream)
        self._classes[stream.priority].move_to_end(stream.key, last=False)

    def remove(self, stream: Stream) -> None:
        """It is admitted, or was closed while it waited."""
        queue = self._classes[stream.priority]
        del queue[stream.key]
        if not queue:
            del self._classes[stream.priority]
        self._count(stream, -1)

    def scan(self, limit: int) -> list[Stream]:
        """The first `limit` streams in order."""
        ordered = chain.from_iterable(self._classes[priority].values() for priority in sorted(self._classes))
        return list(islice(ordered, limit))

    def _count(self, stream: Stream, sign: int) -> None:
        self.num_waiting += sign
        self.num_tokens += sign * len(stream.tokens)
