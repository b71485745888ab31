"""Reads the body of a request, bounded in size and time."""

import asyncio
import math
from contextlib import suppress
from typing import cast

from sanic import Request
from sanic.exceptions import PayloadTooLarge, RequestTimeout, SanicException
from sanic.http import Http

BODY_TIMEOUT_S = 60.0  # from the end of the headers to the end of the body
LINGER_S = 2.0  # how long the rest of too large a body is thrown away, so that the client gets to read the 413
LINGER_BYTES = 256 << 20


async def read_body(request: Request, max_bytes: int) -> bytes:
    """All of the body. Raises PayloadTooLarge, RequestTimeout, BadRequest (of Sanic)."""
    if _declared_bytes(request) > max_bytes:
        await _refuse(request, max_bytes)
    parts: list[bytes] = []
    num_bytes = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while (part := await _next_part(request)) is not None:
                num_bytes += len(part)
                if num_bytes > max_bytes:
                    break
                parts.append(part)
    except TimeoutError:
        connection(request).keep_alive = False
        raise RequestTimeout(f"The body did not arrive within {BODY_TIMEOUT_S:.0f} s.") from None
    if num_bytes > max_bytes:
        await _refuse(request, max_bytes)
    _listen_again(request)
    return b"".join(parts)


def connection(request: Request) -> Http:
    """Sanic's state of the connection this request came on."""
    return cast(Http, request.stream)


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() else 0


async def _next_part(request: Request) -> bytes | None:
    stream = connection(request)
    part: bytes | None = await stream.read() if stream.request_body else None
    return part


def _listen_again(request: Request) -> None:
    """Sanic pauses reading while 64 KiB wait to be taken and resumes when it wants more; after a body's last part it
    never does, and a paused connection does not tell that its client has left."""
    transport = cast("asyncio.Transport | None", request.transport)
    if transport is not None and not transport.is_closing():
        transport.resume_reading()


async def _refuse(request: Request, max_bytes: int) -> None:
    """Raises PayloadTooLarge, after throwing away what the client is still sending: a connection that is closed with
    unread input is reset, and the reply would be lost."""
    stream = connection(request)
    stream.keep_alive = False
    if stream.expecting_continue:
        stream.expecting_continue = False  # the body is not wanted: no 100 Continue, not even before the 413
    else:
        stream.request_max_size = math.inf
        num_bytes = 0
        with suppress(TimeoutError, SanicException):
            async with asyncio.timeout(LINGER_S):
                while num_bytes < LINGER_BYTES and (part := await _next_part(request)) is not None:
                    num_bytes += len(part)
    raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
