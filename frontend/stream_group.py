"""The streams of one HTTP request, as its handler sees them: whatever changed since it looked last.

A slow client gets fewer, larger deltas and never an unbounded queue. Lives on the event loop. News of streams that go
on may be written without waking the handler, which costs more than all the rest of a token:

    tell --> end of the round --> sink.write(encode(changed))      the handler waits in `changed`, the client keeps up
                             \\--> the handler wakes                a stream has ended or failed, or the client is slow
"""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from frontend.bugs import NOT_BUGS
from frontend.stream import Stream

S = TypeVar("S", bound=Stream)


class Sink(Protocol):
    """A reply that has begun."""

    @property
    def is_ready(self) -> bool:
        """What is written now goes out at once, after everything before it."""

    def write(self, data: bytes) -> None:
        """Only while it is ready."""


class StreamGroup(Generic[S]):
    """One handler waits here; streams report what changed.

    `tells_text`: each new text is news (a streamed reply); otherwise only the end of a stream is.
    """

    def __init__(self, tells_text: bool) -> None:
        self.tells_text = tells_text
        self._changed: dict[S, None] = {}  # a set in the order of change
        self._waiter: asyncio.Future[None] | None = None
        self._encode: Callable[[list[S]], bytes] | None = None
        self._sink: Sink | None = None
        self._call_soon: Callable[..., object] = _no_loop

    async def changed(self) -> list[S]:
        """The streams with news since the last call; waits until there is one. They may all be finished."""
        if not self._changed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take()

    def write_directly(self, encode: Callable[[list[S]], bytes], sink: Sink) -> None:
        """From now on: `encode` tells all that is new of some streams, none of which has ended, as `changed` would
        give them; its result, unless it is empty, goes to `sink`."""
        self._encode, self._sink = encode, sink
        self._call_soon = asyncio.get_running_loop().call_soon

    def tell(self, stream: S) -> None:
        if self._sink is not None and not self._changed:
            self._call_soon(self._end_round)  # after everything that has come together
        self._changed[stream] = None
        if self._sink is None:
            self._wake()

    def _end_round(self) -> None:
        if self._waiter is None or self._waiter.done() or not self._changed:
            return  # the handler is at work and looks by itself
        sink, encode = self._sink, self._encode
        if sink is None or encode is None or not sink.is_ready or any(stream.is_finished for stream in self._changed):
            self._wake()
            return
        try:
            data = encode(self._take())
            if data:
                sink.write(data)
        except NOT_BUGS:
            raise
        except BaseException as error:  # noqa: BLE001 - the border of a request: its handler raises it
            self._wake(error)

    def _take(self) -> list[S]:
        changed = list(self._changed)
        self._changed.clear()
        return changed

    def _wake(self, error: BaseException | None = None) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if error is None:
            self._waiter.set_result(None)
        else:
            self._waiter.set_exception(error)


def _no_loop(*_: object) -> None:
    raise RuntimeError("nothing is written directly")
