"""The time a client gives its request: the field `timeout` or the header X-Request-Timeout, whichever is shorter.

It runs from the arrival of the request's headers. `http_endpoint.py` guards every inference route with it, so a handler
only has to pass on what its body says. When the time is over, whatever the guarded block waits for is cancelled: before
anything was sent the client gets 504 deadline_exceeded, in a stream an error event. A handler that has something better
to answer (scores that came) guards its own wait and catches the error there.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from msgspec import Meta
from sanic import Request

from ipc.errors import ErrorCode, RequestError

HEADER = "X-Request-Timeout"
MAX_TIMEOUT_S = 86_400
Timeout = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)]  # seconds; the type of a body's field `timeout`

_SECONDS = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,9})?")  # no sign, no exponent, no "inf"


class Deadline:
    """When one request must be answered. Lives on the event loop, in one task."""

    def __init__(self, timeout_s: float | None = None) -> None:
        """`timeout_s` from now; None: as long as it takes."""
        self._began = asyncio.get_running_loop().time()
        self._timeout_s: float | None = None
        self._guard: asyncio.Timeout | None = None  # the innermost one
        self.tighten(timeout_s)

    @property
    def at(self) -> float | None:
        """In the event loop's time; None: never."""
        return None if self._timeout_s is None else self._began + self._timeout_s

    @property
    def is_over(self) -> bool:
        return self.at is not None and asyncio.get_running_loop().time() >= self.at

    def tighten(self, timeout_s: float | None) -> None:
        """What the body says: seconds from the request's arrival. Takes effect at once, also in a guard that is open;
        a longer time than the one known changes nothing."""
        if timeout_s is None or (self._timeout_s is not None and timeout_s >= self._timeout_s):
            return
        self._timeout_s = timeout_s
        if self._guard is not None and not self._guard.expired():
            self._guard.reschedule(self.at)

    @asynccontextmanager
    async def guard(self) -> AsyncIterator[None]:
        """Ends the block with RequestError DEADLINE_EXCEEDED when the time is over.

        Of nested guards only the innermost acts; once it did, the outer ones do not any more: whoever caught the error
        has all the time it needs to tell the client.
        """
        outer = self._guard
        if outer is not None and not outer.expired():
            outer.reschedule(None)
        self._guard = own = asyncio.timeout_at(self.at)
        try:
            async with own:
                yield
        except TimeoutError:
            if own.expired():
                raise self.error() from None
            raise
        finally:
            self._guard = outer
            if outer is not None and not own.expired() and not outer.expired():
                outer.reschedule(self.at)

    def error(self) -> RequestError:
        """What a client is told whose time is over."""
        message = f"The request was not answered within the {self._timeout_s or 0.0:g} s it was given."
        return RequestError(ErrorCode.DEADLINE_EXCEEDED, message)


def deadline_of(request: Request) -> Deadline:
    """The one deadline of a request, kept for its life. The first call starts the clock and reads the header; it raises
    RequestError for a header that is not a number of seconds."""
    known: Deadline | None = getattr(request.ctx, "deadline", None)
    if known is None:
        known = Deadline(header_timeout(request.headers.get(HEADER)))
        request.ctx.deadline = known
    return known


def header_timeout(value: str | None) -> float | None:
    """Seconds. Raises RequestError naming the header."""
    if value is None:
        return None
    seconds = float(value) if _SECONDS.fullmatch(value.strip()) else 0.0
    if not 0 < seconds <= MAX_TIMEOUT_S:
        message = f"Invalid header {HEADER}: expected a number of seconds above 0 and at most {MAX_TIMEOUT_S}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, HEADER)
    return seconds
