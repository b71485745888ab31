"""The client: many streams at once, with as little work per event as possible, because it shares the server's cores."""

import time
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.overhead.server_process import MODEL
from benchmarks.overhead.timeline import Rates, Timeline, rates
from benchmarks.overhead.workload import RunOrder
from benchmarks.streaming.lean_client import ClientOrder, post, run


def run_streams(url: str, order: RunOrder, prompts: list[list[int]]) -> Rates:
    """All streams of one run, sent at once. Raises RuntimeError for a stream that did not get all its tokens."""
    place = urlsplit(url)
    requests = [_request(prompt, order.output_tokens) for prompt in prompts]
    clock = time.perf_counter
    timeline = Timeline(clock())

    def note(stream: int, num_events: int) -> None:
        timeline.add(clock(), stream, num_events)

    uvloop.run(run(ClientOrder(str(place.hostname), place.port or 80, len(prompts), requests), note))
    return rates(timeline, order.num_streams, order.output_tokens)


def _request(prompt: list[int], output_tokens: int) -> bytes:
    asked = {
        "model": MODEL,
        "prompt": prompt,
        "max_tokens": output_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
    }
    return post("/v1/completions", msgspec.json.encode(asked))
