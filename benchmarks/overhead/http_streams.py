"""The client: many streams at once, with as little work per event as possible, because it shares the server's cores."""

import asyncio
import time

import aiohttp
import msgspec
import uvloop

from benchmarks.overhead.server_process import MODEL
from benchmarks.overhead.timeline import Rates, Timeline, rates
from benchmarks.overhead.workload import RunOrder

TIMEOUT_S = 600.0
EVENT = b"data: {"  # every event but [DONE]; the made-up words of the model's texts never hold it
ENDED_BY_LENGTH = b'"finish_reason":"length"'


def run_streams(url: str, order: RunOrder, prompts: list[list[int]]) -> Rates:
    """All streams of one run, sent at once. Raises RuntimeError for a stream that did not get all its tokens."""
    return uvloop.run(_run(url, order, prompts))


async def _run(url: str, order: RunOrder, prompts: list[list[int]]) -> Rates:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    bodies = [_body(prompt, order.output_tokens) for prompt in prompts]
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        timeline = Timeline(time.perf_counter())
        await asyncio.gather(*(_stream(session, body, i, timeline) for i, body in enumerate(bodies)))
    return rates(timeline, order.num_streams, order.output_tokens)


async def _stream(session: aiohttp.ClientSession, body: bytes, stream: int, timeline: Timeline) -> None:
    clock = time.perf_counter
    has_ended = False
    rest = b""
    headers = {"Content-Type": "application/json"}
    async with session.post("/v1/completions", data=body, headers=headers) as response:
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}: {await response.text()}")
        async for piece in response.content.iter_any():
            num_events = piece.count(EVENT)
            if num_events > 0:
                timeline.add(clock(), stream, num_events)
            has_ended = has_ended or ENDED_BY_LENGTH in piece
            rest = piece
    if not has_ended:
        raise RuntimeError(f"stream {stream} did not end by its length; its last bytes: {rest[-300:]!r}")


def _body(prompt: list[int], output_tokens: int) -> bytes:
    return msgspec.json.encode(
        {
            "model": MODEL,
            "prompt": prompt,
            "max_tokens": output_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
        }
    )
