"""Server-sent events: the reply begins with its first event, so a request that fails before still gets its true HTTP
status. While a stream has nothing to say for long, a comment goes out, so that no proxy cuts the connection; a failure
after that is told by an event, as any failure after the first event.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sanic import HTTPResponse, Request

from frontend.bugs import NOT_BUGS
from frontend.deadline import deadline_of
from frontend.error_style import ErrorStyle, in_style
from frontend.http_errors import ERROR_FORMS, encode_error, request_error_body
from frontend.http_reply import internal_error_body
from frontend.read_body import connection
from frontend.request_id import request_id
from frontend.request_log import log_bug
from frontend.stream_group import Sink
from ipc.errors import RequestError

CONTENT_TYPE = "text/event-stream; charset=utf-8"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # proxies must pass each event on at once
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
LAST_WORDS_S = 5.0  # a client that does not read for so long is not told how its request failed


@dataclass(frozen=True)
class EventForm:
    """How an API's streams say what is not an answer."""

    error: Callable[[bytes], bytes]  # from an encoded error body to its event
    end: bytes = DONE  # always the last bytes, also after an error
    keep_alive: bytes = KEEP_ALIVE
    error_style: ErrorStyle = ErrorStyle.OPENAI


def _data(body: bytes) -> bytes:
    return b"data: " + body + b"\n\n"


OPENAI_EVENTS = EventForm(_data)
ANTHROPIC_EVENTS = EventForm(
    lambda body: b"event: error\n" + _data(body),
    end=b"",
    keep_alive=b'event: ping\ndata: {"type":"ping"}\n\n',
    error_style=ErrorStyle.ANTHROPIC,
)


def event(body: dict[str, Any]) -> bytes:
    """One event."""
    return _data(orjson.dumps(body))


async def deliver(
    request: Request,
    events: AsyncGenerator[bytes],
    form: EventForm = OPENAI_EVENTS,
    direct: Callable[[Sink], None] | None = None,
) -> None:
    """Sends what `events` yields (one or several whole events each time), then the form's end.

    `send` waits while the client's buffers are full; meanwhile text gathers in the streams. Raises RequestError only
    before anything was sent; `events` is closed in any case. `direct` is called once the reply has begun: what it is
    given takes whole events too, while `events` waits for news. After a failure a client that does not read is left
    soon: until this returns, the other choices of its request go on being computed.
    """
    reply = _Reply(request)
    interval_s: float = request.app.config.SSE_KEEP_ALIVE_S
    comments = asyncio.create_task(reply.send_comments(form.keep_alive, interval_s)) if interval_s > 0 else None
    last = form.end
    last_at: float | None = None  # when the last bytes must be out; None: a client may read as slowly as it likes
    try:
        async with deadline_of(request).guard():
            async for data in events:
                await reply.send(data)
                if direct is not None and reply.takes_direct:
                    direct(reply)
                    direct = None
        await reply.stop_comments()
    except NOT_BUGS:
        raise
    except BaseException as error:  # the border of a request whose status is already sent
        last_at = asyncio.get_running_loop().time() + LAST_WORDS_S
        if not await reply.stop_comments(last_at):
            raise
        last = _error_event(error, request, form) + form.end
    finally:
        if comments is not None:
            comments.cancel()
        await events.aclose()
    await reply.end(last, last_at)


class _Reply:
    """The stream of one request. The answer and the comments go through here, one whole event at a time."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._transport = cast("asyncio.Transport | None", request.transport)
        self._reply: HTTPResponse | None = None
        self._turn = asyncio.Lock()
        self._wants_comments = True
        self._time = asyncio.get_running_loop().time
        self._sent_at = self._time()

    async def send(self, data: bytes) -> None:
        async with self._turn:
            await (await self._begun()).send(data)
            self._sent_at = self._time()

    @property
    def takes_direct(self) -> bool:
        """It has begun, in Sanic's chunked encoding, which `write` knows."""
        http = connection(self._request)
        return self._reply is not None and http.response_func == http.http1_response_chunked

    @property
    def is_ready(self) -> bool:
        """Follows `stream_group.Sink`: nothing is being sent, and the client has taken all before it."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._turn.locked():
            return False
        return not transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Follows `stream_group.Sink`: one chunk, as `send` would write it."""
        if self._transport is not None:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
            self._sent_at = self._time()

    async def end(self, data: bytes, last_at: float | None = None) -> None:
        """Sends the last bytes, which may be none; ends the connection if they are not out at `last_at`."""
        try:
            async with asyncio.timeout_at(last_at), self._turn:
                await (await self._begun()).send(data, end_stream=True)
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()  # close() would wait for the client to read what is in the buffers

    async def send_comments(self, comment: bytes, interval_s: float) -> None:
        """Sends `comment` whenever nothing was sent for the interval."""
        loop = asyncio.get_running_loop()
        while self._wants_comments:
            if (wait_s := self._sent_at + interval_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            elif not self._turn.locked():
                await self.send(comment)
            else:
                self._sent_at = loop.time()  # something waits for the client's buffers: it hears enough

    async def stop_comments(self, last_at: float | None = None) -> bool:
        """Waits for one that is being sent, until `last_at`. Returns whether the HTTP status is out."""
        self._wants_comments = False
        try:
            async with asyncio.timeout_at(last_at), self._turn:
                return self._reply is not None
        except TimeoutError:
            return True  # something is being sent still

    async def _begun(self) -> HTTPResponse:
        if self._reply is None:
            self._reply = await self._request.respond(headers=HEADERS, content_type=CONTENT_TYPE)
        return self._reply


def _error_event(error: BaseException, request: Request, form: EventForm) -> bytes:
    if isinstance(error, RequestError):
        body, status = request_error_body(error), ERROR_FORMS[error.code].status
    else:
        log_bug(request_id(request), request.path, error)
        body, status = internal_error_body(request_id(request)), 500
    return form.error(encode_error(in_style(body, status, form.error_style, request_id(request))))
