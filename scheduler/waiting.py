"""Streams and score jobs that wait to run, bounded in tokens.

Order: lower priority number first, then arrival; a preempted stream goes back to the front of its class. Beyond the
bound a new request is refused at once with the time after which it is worth coming back.
"""

from collections import deque
from collections.abc import Iterator

from scheduler.stream import Stream


class WaitingQueue:
    """Waiting streams of one model. Closed streams stay in place and are skipped, so that an abort costs nothing."""

    def __init__(self) -> None:
        self._classes: dict[int, deque[Stream]] = {}
        self.num_waiting = 0
        self.num_tokens = 0  # tokens still to compute before their first output token

    def push(self, stream: Stream) -> None:
        """At the end of its class."""
        self._class_of(stream).append(stream)
        self._count(stream, 1)

    def push_front(self, stream: Stream) -> None:
        """Before all others of its class: it has run already."""
        self._class_of(stream).appendleft(stream)
        self._count(stream, 1)

    def discard(self, stream: Stream) -> None:
        """A waiting stream was closed; its entry is dropped when the scan comes by."""
        self._count(stream, -1)

    def take(self, stream: Stream) -> None:
        """A stream that `scan` yielded is admitted. O(1) at the front of its class."""
        queue = self._classes[stream.priority]
        if queue[0] is stream:
            queue.popleft()
        else:
            queue.remove(stream)
        self._count(stream, -1)

    def scan(self, limit: int) -> Iterator[Stream]:
        """The first `limit` open streams in order. The yielded one may be taken while scanning."""
        for priority in sorted(self._classes):
            queue = self._classes[priority]
            while queue and queue[0].is_closed:
                queue.popleft()
            if not queue:
                del self._classes[priority]
                continue
            for stream in list(_head(queue, limit)):
                if not stream.is_closed:
                    limit -= 1
                    yield stream
                if limit <= 0:
                    return

    def drain(self) -> list[Stream]:
        """All open streams; the queue is empty afterwards."""
        streams = [stream for queue in self._classes.values() for stream in queue if not stream.is_closed]
        self._classes.clear()
        self.num_waiting = self.num_tokens = 0
        return streams

    def _class_of(self, stream: Stream) -> deque[Stream]:
        return self._classes.setdefault(stream.priority, deque())

    def _count(self, stream: Stream, sign: int) -> None:
        self.num_waiting += sign
        self.num_tokens += sign * len(stream.tokens)


def _head(queue: deque[Stream], limit: int) -> Iterator[Stream]:
    for _, stream in zip(range(limit), queue, strict=False):
        yield stream
