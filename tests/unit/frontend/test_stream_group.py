"""News reach a sink without waking the handler only where nothing can be lost by it, and never out of order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from frontend.stream_group import StreamGroup
from frontend.token_stream import TokenStream
from ipc.messages import FinishReason
from tests.support.frontend_streams import token_stream

DEADLINE_S = 10.0
A, B, C = b"abc"


class Reply:
    """A sink that keeps what is written; not ready: the client is slow."""

    def __init__(self) -> None:
        self.is_ready = True
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        assert self.is_ready
        self.written.append(data)


class Handler:
    """What a streamed reply does: writes what it is woken for, until its streams have ended."""

    def __init__(self, num_streams: int) -> None:
        self.group: StreamGroup[TokenStream] = StreamGroup(tells_text=True)
        self.streams = [token_stream(self.group, choice) for choice in range(num_streams)]
        self.reply = Reply()
        self.num_woken = 0
        self.group.write_directly(self.encode, self.reply)

    def encode(self, changed: Sequence[TokenStream]) -> bytes:
        return b"".join(b"%d%b" % (stream.choice, stream.take_text().encode()) for stream in changed)

    async def run(self) -> bytes:
        """All that was written, in order."""
        while not all(stream.is_finished for stream in self.streams):
            changed = await self.group.changed()
            self.num_woken += 1
            for stream in changed:
                if stream.error is not None:
                    raise stream.error
            self.reply.written.append(self.encode(changed))
        return b"|".join(self.reply.written)


def run(script: Callable[[Handler], Awaitable[None]], num_streams: int = 1) -> tuple[bytes, int]:
    """What was written, in parts, and how often the handler woke."""

    async def both() -> tuple[bytes, int]:
        handler = Handler(num_streams)
        async with asyncio.timeout(DEADLINE_S):
            reading = asyncio.create_task(handler.run())
            await asyncio.sleep(0)
            await script(handler)
            return await reading, handler.num_woken

    return asyncio.run(both())


async def rounds(count: int = 2) -> None:
    """Lets everything run that is due."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_text_is_written_without_waking_the_handler() -> None:
    async def script(handler: Handler) -> None:
        for token in (A, B):
            handler.streams[0].push(token, 0, 0)
            await rounds()
        assert handler.num_woken == 0
        handler.streams[0].push(C, FinishReason.LENGTH, 0)

    assert run(script) == (b"0a|0b|0c", 1)


def test_what_comes_together_is_one_write() -> None:
    async def script(handler: Handler) -> None:
        for token in (A, B):
            for stream in handler.streams:
                stream.push(token, 0, 0)
        await rounds()
        assert handler.reply.written == [b"0ab1ab"]
        for stream in handler.streams:
            stream.push(C, FinishReason.LENGTH, 0)

    assert run(script, 2) == (b"0ab1ab|0c1c", 1)


def test_a_slow_client_gets_everything_in_order_from_the_handler() -> None:
    async def script(handler: Handler) -> None:
        handler.streams[0].push(A, 0, 0)
        await rounds()
        handler.reply.is_ready = False
        handler.streams[0].push(B, 0, 0)
        await rounds(3)
        assert handler.num_woken == 1
        handler.reply.is_ready = True
        handler.streams[0].push(C, 0, 0)
        await rounds()
        handler.streams[0].push(A, FinishReason.STOP, 0)

    assert run(script) == (b"0a|0b|0c|0", 2)


def test_news_that_say_nothing_yet_are_not_written() -> None:
    async def script(handler: Handler) -> None:
        handler.group.write_directly(lambda changed: b"", handler.reply)
        handler.streams[0].push(A, 0, 0)
        await rounds()
        handler.streams[0].push(B, FinishReason.LENGTH, 0)

    assert run(script) == (b"0ab", 1)


def test_a_bug_while_encoding_is_raised_by_the_handler() -> None:
    def broken(changed: Sequence[TokenStream]) -> bytes:
        raise ValueError("a bug")

    async def script(handler: Handler) -> None:
        handler.group.write_directly(broken, handler.reply)
        handler.streams[0].push(A, 0, 0)

    with pytest.raises(ValueError, match="a bug"):
        run(script)


def test_a_failure_is_raised_by_the_handler() -> None:
    async def script(handler: Handler) -> None:
        handler.streams[0].push(A, 0, 0)
        handler.streams[0].fail(ValueError("lost"))

    with pytest.raises(ValueError, match="lost"):
        run(script)
