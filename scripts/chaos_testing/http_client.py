"""One request on a connection of its own, by hand: its local port says to which frontend it went."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from scripts.chaos_testing.answers import Answer, BrokenAnswer, StreamedAnswer, error_code, whole_answer
from scripts.chaos_testing.questions import Question
from scripts.load_testing.sse import SseParser

HOST = "127.0.0.1"
TIMEOUT_S = 120.0  # nothing here takes so long: whoever waits longer hangs


@dataclass(eq=False)
class Attempt:
    """One request and what became of it. Times are seconds of `time.perf_counter`."""

    question: Question
    began: float = field(default_factory=time.perf_counter)
    local_port: int = 0  # 0: not connected yet
    ended: float | None = None
    text_times: dict[int, list[float]] = field(default_factory=dict)  # when events with text came, by choice
    is_streamed: bool = False
    status: int = 0  # of the HTTP answer; 0: none came
    answer: Answer | None = None
    failure: str = ""
    error_code: str = ""
    is_excused: bool = False  # its connection ended with the frontend that was killed


async def ask(port: int, question: Question) -> Attempt:
    """Send it and wait for all of the answer. What goes wrong stands in the attempt."""
    attempt = Attempt(question)
    await ask_as(port, attempt)
    return attempt


async def ask_as(port: int, attempt: Attempt) -> None:
    """As `ask`, for an attempt others may watch meanwhile."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await _converse(port, attempt)
    except TimeoutError:
        attempt.failure = f"no end within {TIMEOUT_S:g} s"
    except (OSError, asyncio.IncompleteReadError) as error:
        attempt.failure = f"connection lost: {type(error).__name__}"
    except BrokenAnswer as error:
        attempt.failure = str(error)
    attempt.ended = time.perf_counter()


async def _converse(port: int, attempt: Attempt) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        attempt.local_port = writer.get_extra_info("sockname")[1]
        writer.write(_request(attempt.question))
        attempt.status, headers = await _head(reader)
        attempt.is_streamed = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        if attempt.is_streamed:
            await _read_stream(reader, attempt)
        else:
            body = b"".join([piece async for piece in _pieces(reader, headers)])
            _take_whole(body, attempt)
    finally:
        writer.close()


def _request(question: Question) -> bytes:
    head = (
        f"POST {question.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(question.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + question.body


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers, their names in lower case."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    pairs = (line.partition(b":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _pieces(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> AsyncIterator[bytes]:
    """The body as it comes. Raises IncompleteReadError when the connection ends before it does."""
    if b"content-length" in headers:
        yield await reader.readexactly(int(headers[b"content-length"]))
        return
    while length := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(length + 2))[:-2]
    await reader.readuntil(b"\r\n")


async def _read_stream(reader: asyncio.StreamReader, attempt: Attempt) -> None:
    parser, answer = SseParser(), StreamedAnswer()
    async for piece in _pieces(reader, {}):
        now = time.perf_counter()
        for data in parser.feed(piece):
            for choice in answer.take(data):
                attempt.text_times.setdefault(choice, []).append(now)
    attempt.answer = answer.answer()


def _take_whole(body: bytes, attempt: Attempt) -> None:
    if attempt.status != 200:
        attempt.error_code = error_code(body)
        attempt.failure = f"HTTP {attempt.status}: {attempt.error_code}"
    else:
        attempt.answer = whole_answer(body)
