"""Events and comments of a stream: whole, in order, and an end in any case."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sanic import Request

from frontend import sse
from frontend.sse import ANTHROPIC_EVENTS, DONE, KEEP_ALIVE, OPENAI_EVENTS, EventForm, deliver
from ipc.errors import ErrorCode, RequestError

DEADLINE_S = 10.0
SOON_S = 0.001


class Client:
    """Stands for the request and its connection: keeps what was sent; `blocks` makes the connection's buffers full."""

    def __init__(self, keep_alive_s: float) -> None:
        self.sent: list[bytes] = []
        self.has_ended = False
        self.accepts = asyncio.Event()
        self.accepts.set()
        self.news = asyncio.Condition()
        self.ctx = SimpleNamespace(request_id="the-id")
        self.headers: dict[str, str] = {}
        self.path = "/v1/x"
        self.has_left = False
        self.transport = SimpleNamespace(abort=self.leave)
        self.app = SimpleNamespace(config=SimpleNamespace(SSE_KEEP_ALIVE_S=keep_alive_s))

    def leave(self) -> None:
        self.has_left = True

    async def respond(self, **_: Any) -> "Client":
        return self

    async def send(self, data: bytes, end_stream: bool = False) -> None:
        assert not self.has_ended
        await self.accepts.wait()
        self.has_ended = end_stream
        async with self.news:
            self.sent.append(data)
            self.news.notify_all()

    async def has_received(self, data: bytes) -> None:
        async with self.news:
            await self.news.wait_for(lambda: data in self.sent)


Script = Callable[[Client], AsyncGenerator[bytes]]


def delivered(script: Script, keep_alive_s: float = 0.0, form: EventForm = OPENAI_EVENTS) -> list[bytes]:
    async def run() -> list[bytes]:
        client = Client(keep_alive_s)
        async with asyncio.timeout(DEADLINE_S):
            await deliver(cast(Request, client), script(client), form)
        assert client.has_ended
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, "the task that sends comments is gone"
        return client.sent

    return asyncio.run(run())


def test_events_and_an_end() -> None:
    async def script(client: Client) -> AsyncGenerator[bytes]:
        yield b"data: 1\n\n"
        yield b"data: 2\n\n"

    assert delivered(script) == [b"data: 1\n\n", b"data: 2\n\n", DONE]
    assert delivered(script, form=ANTHROPIC_EVENTS)[-1] == b""


def test_comments_while_nothing_is_sent_before_and_between_events() -> None:
    async def script(client: Client) -> AsyncGenerator[bytes]:
        await client.has_received(KEEP_ALIVE)
        client.sent.clear()
        yield b"data: 1\n\n"
        await client.has_received(KEEP_ALIVE)
        yield b"data: 2\n\n"

    sent = delivered(script, SOON_S)
    assert [data for data in sent if data != KEEP_ALIVE] == [b"data: 1\n\n", b"data: 2\n\n", DONE]
    assert sent[-1] == DONE


def test_anthropics_comment_is_a_ping() -> None:
    async def script(client: Client) -> AsyncGenerator[bytes]:
        await client.has_received(ANTHROPIC_EVENTS.keep_alive)
        yield b"x"

    assert b"event: ping" in b"".join(delivered(script, SOON_S, ANTHROPIC_EVENTS))


def refused(client: Client) -> RequestError:
    return RequestError(ErrorCode.QUEUE_FULL, "the queue is full", retry_after_s=3)


async def refused_at_once(client: Client) -> AsyncGenerator[bytes]:
    raise refused(client)
    yield b""


def test_an_error_before_anything_was_sent_keeps_its_status() -> None:
    for keep_alive_s in (0.0, 60.0):
        with pytest.raises(RequestError, match="queue is full"):
            delivered(refused_at_once, keep_alive_s)


def test_an_error_after_a_comment_is_an_event() -> None:
    async def script(client: Client) -> AsyncGenerator[bytes]:
        await client.has_received(KEEP_ALIVE)
        raise refused(client)
        yield b""

    last = delivered(script, SOON_S)[-1]
    assert last.startswith(b'data: {"error":{"message":"the queue is full","type":"rate_limit_error"')
    assert last.endswith(DONE)


def test_a_bug_after_an_event_shows_the_request_id_only() -> None:
    async def script(client: Client) -> AsyncGenerator[bytes]:
        yield b"data: 1\n\n"
        raise KeyError("secret")

    last = delivered(script)[-1]
    assert b"the-id" in last
    assert b"secret" not in last
    assert last.endswith(DONE)


def test_anthropics_error_event() -> None:
    async def script(client: Client) -> AsyncGenerator[bytes]:
        yield b"data: 1\n\n"
        raise refused(client)

    assert delivered(script, form=ANTHROPIC_EVENTS)[-1] == (
        b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"the queue is full"},'
        b'"request_id":"the-id"}\n\n'
    )


def test_no_comment_gets_between_while_the_client_does_not_read() -> None:
    """An event waits for the connection's buffers; comments do not pile up behind it."""

    async def script(client: Client) -> AsyncGenerator[bytes]:
        client.accepts.clear()
        asyncio.get_running_loop().call_later(30 * SOON_S, client.accepts.set)
        yield b"data: 1\n\n"

    assert delivered(script, SOON_S) == [b"data: 1\n\n", DONE]


def test_a_client_that_leaves_ends_everything() -> None:
    closed: list[str] = []

    async def script(client: Client) -> AsyncGenerator[bytes]:
        try:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()
        finally:
            closed.append("events")

    async def run() -> None:
        client = Client(SOON_S)
        task = asyncio.create_task(_as_coroutine(deliver(cast(Request, client), script(client))))
        async with asyncio.timeout(DEADLINE_S):
            await client.has_received(KEEP_ALIVE)
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert closed == ["events"]


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


@pytest.mark.parametrize("keep_alive_s", [0.0, SOON_S])
def test_after_a_failure_a_client_that_does_not_read_is_left(
    keep_alive_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last event waited for its buffers without limit, and the request's choices went on being computed."""
    monkeypatch.setattr(sse, "LAST_WORDS_S", 20 * SOON_S)

    async def script(client: Client) -> AsyncGenerator[bytes]:
        yield b"data: 1\n\n"
        client.accepts.clear()
        await asyncio.sleep(10 * SOON_S)  # where comments go out, one is waiting now
        raise RequestError(ErrorCode.DEADLINE_EXCEEDED, "too late")

    async def run() -> None:
        client = Client(keep_alive_s)
        async with asyncio.timeout(DEADLINE_S):
            await deliver(cast(Request, client), script(client))
        assert client.has_left
        assert not client.has_ended
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
