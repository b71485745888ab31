"""The streams of one HTTP request, as its handler sees them: whatever changed since it looked last.

A slow client gets fewer, larger deltas and never an unbounded queue. Lives on the event loop.
"""

import asyncio
from typing import Generic, TypeVar

S = TypeVar("S")


class StreamGroup(Generic[S]):
    """One handler waits here; streams report what changed.

    `tells_text`: each new text is news (a streamed reply); otherwise only the end of a stream is.
    """

    def __init__(self, tells_text: bool) -> None:
        self.tells_text = tells_text
        self._changed: dict[S, None] = {}  # a set in the order of change
        self._waiter: asyncio.Future[None] | None = None

    async def changed(self) -> list[S]:
        """The streams with news since the last call; waits until there is one. They may all be finished."""
        if not self._changed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        changed = list(self._changed)
        self._changed.clear()
        return changed

    def tell(self, stream: S) -> None:
        self._changed[stream] = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
