"""A client process that costs as little as Python allows: raw sockets on uvloop, events counted and not parsed.

    python -m benchmarks.streaming.lean_client        orders on standard input, one JSON line each; answers likewise

What it gives up for that: it believes the chunked encoding, and looks at the bytes only for events and ends.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

EVENT = b"data: {"  # the fake model's letters never hold it
END = b"data: [DONE]\n\n"
LENGTH = b'"finish_reason":"length"'
TIMEOUT_S = 600.0

Note = Callable[[int], None]  # told how many events came just now


class ClientOrder(Struct, frozen=True):
    """One run: `num_streams` connections, each with one request; `requests` are whole HTTP requests, by turns."""

    host: str
    port: int
    num_streams: int
    requests: list[bytes]


class ClientResult(Struct, frozen=True):
    """Times are of CLOCK_MONOTONIC, the same in all processes of the machine."""

    began: float  # before the first request was sent
    first: float  # when the last stream had its first event
    ended: float  # when the last stream was complete
    num_events: int
    num_bytes: int
    num_reads: int
    cpu_s: float


class _Stream(asyncio.Protocol):
    """One connection and its one request."""

    def __init__(self, request: bytes, all_done: "_Countdown", note: Note | None) -> None:
        self._request = request
        self._all_done = all_done
        self._note = note
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self.num_events = self.num_bytes = self.num_reads = 0
        self.first_at = 0.0
        self.is_by_length = self.is_complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        if self._transport is not None:
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.num_reads:
            self.first_at = time.monotonic()
        self.num_reads += 1
        self.num_bytes += len(data)
        num_events = data.count(EVENT)
        self.num_events += num_events
        if self._note is not None and num_events:
            self._note(num_events)
        if len(data) < 400 or END in data or LENGTH in data:  # short reads may be pieces of events
            self._look_for_the_end(data)

    def _look_for_the_end(self, data: bytes) -> None:
        seen = self._tail + data
        self._tail = seen[-400:]
        self.is_by_length = self.is_by_length or LENGTH in seen
        if END in seen and not self.is_complete:
            self.is_complete = True
            self._all_done.count()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_complete:
            self._all_done.fail(f"a stream ended early: {error}; its last bytes were {self._tail!r}")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Countdown:
    """Set when every stream has ended, or one has failed."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count(self) -> None:
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def fail(self, text: str) -> None:
        if not self._done.done():
            self._done.set_exception(RuntimeError(text))

    async def wait(self) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await self._done


def post(path: str, body: bytes) -> bytes:
    """A whole POST of a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: zerolane\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def run(order: ClientOrder, note: Callable[[int, int], None] | None = None) -> ClientResult:
    """One run; `note` is told each stream's number and how many events it got, as they come.

    Raises RuntimeError when a stream ends early, or not by its length.
    """
    loop = asyncio.get_running_loop()
    done = _Countdown(order.num_streams)
    streams = [
        _Stream(order.requests[i % len(order.requests)], done, None if note is None else partial(note, i))
        for i in range(order.num_streams)
    ]
    for stream in streams:
        await loop.create_connection(lambda stream=stream: stream, order.host, order.port)  # type: ignore[misc]
    cpu_before, began = time.process_time(), time.monotonic()
    for stream in streams:
        stream.begin()
    await done.wait()
    ended, cpu_s = time.monotonic(), time.process_time() - cpu_before
    for stream in streams:
        stream.close()
    if not all(stream.is_by_length for stream in streams):
        raise RuntimeError("a stream did not end by its length")
    return ClientResult(
        began,
        max(stream.first_at for stream in streams),
        ended,
        sum(stream.num_events for stream in streams),
        sum(stream.num_bytes for stream in streams),
        sum(stream.num_reads for stream in streams),
        cpu_s,
    )


def main() -> None:
    for line in sys.stdin.buffer:
        result = uvloop.run(run(msgspec.json.decode(line, type=ClientOrder)))
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
