"""Server-sent events: one `data:` line a chunk, `data: [DONE]` always last, also after an error.

The reply begins with its first event, so a request that fails before that still gets its true HTTP status.
"""

from collections.abc import AsyncGenerator
from typing import Any

import orjson
from sanic import HTTPResponse, Request

from frontend.bugs import NOT_BUGS
from frontend.http_errors import encode_error, request_error_body
from frontend.http_reply import internal_error_body
from frontend.request_id import request_id
from frontend.request_log import log_bug
from ipc.errors import RequestError

CONTENT_TYPE = "text/event-stream; charset=utf-8"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # proxies must pass each event on at once
DONE = b"data: [DONE]\n\n"


def event(body: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


async def deliver(request: Request, events: AsyncGenerator[bytes]) -> None:
    """Sends what `events` yields (one or several whole events each time), then DONE.

    `send` waits while the client's buffers are full; meanwhile text gathers in the streams. Raises RequestError only
    before anything was sent; `events` is closed in any case.
    """
    reply: HTTPResponse | None = None
    last = DONE
    try:
        async for data in events:
            if reply is None:
                reply = await request.respond(headers=HEADERS, content_type=CONTENT_TYPE)
            await reply.send(data)
    except RequestError as error:
        if reply is None:
            raise
        last = b"data: " + encode_error(request_error_body(error)) + b"\n\n" + DONE
    except NOT_BUGS:
        raise
    except BaseException as error:  # the border of a request whose status is already sent
        if reply is None:
            raise
        log_bug(request_id(request), request.path, error)
        last = event(internal_error_body(request_id(request))) + DONE
    finally:
        await events.aclose()
    if reply is None:
        reply = await request.respond(headers=HEADERS, content_type=CONTENT_TYPE)
    await reply.send(last, end_stream=True)
