"""One load on a running server, measured, with nothing printed: `scripts/load_test` and `scripts/tune` build on it.

    options = load_options(workload="chat", concurrency=8, requests=64, duration=20.0, target_ttft_ms=500)
    figures = await measure(options, "http://127.0.0.1:8000")
    figures.output_tokens_per_s; figures.time_to_first_token_s.p99; figures.goodput.share

`load_options` (options.py) fills in what is not given, from the workload, and raises ValueError for what cannot be.
`measure` raises ServerError where there is nothing to measure; requests that fail are counted in the figures
(`num_failed`, `errors`), never raised. It ends by itself: after `requests` requests or `duration` seconds, whichever
is first, and then at most `timeout` seconds for those still open. Cancelling it closes the connections.

The same options send the same prompts again. On a server with a prefix cache that was not restarted in between, give
each measurement a `salt` of its own: it changes the words, not the lengths.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from scripts.load_testing.bodies import Bodies
from scripts.load_testing.figures import Figures, figures
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.records import RequestRecord
from scripts.load_testing.server import Server
from scripts.load_testing.server_metrics import MetricsWatch, ServerSample
from scripts.load_testing.traffic import Traffic
from scripts.load_testing.word_length import served_models


@dataclass(frozen=True)
class MeasuredStep:
    """One load, everything that was noted. Times are seconds of time.perf_counter."""

    options: LoadOptions
    began: float
    records: list[RequestRecord]
    samples: list[ServerSample]
    figures: Figures
    was_interrupted: bool  # cancelled: what was open is cut off


async def measure(options: LoadOptions, url: str) -> Figures:
    """The figures of one load on the server at `url` (`options.url` and `options.ramp` are not looked at)."""
    options = replace(options, url=url.rstrip("/"), ramp=())
    async with Server(options) as server:
        bodies = await prepare(server, options)
        step = await measure_step(server, bodies, options)
    if step.was_interrupted:
        raise asyncio.CancelledError
    return step.figures


async def prepare(server: Server, options: LoadOptions) -> Bodies:
    """Finds the models, measures their words, warms up. Raises ServerError."""
    bodies = Bodies(options, await served_models(server, options))
    calls = [bodies.call("warmup", index) for index in range(options.warmup)]
    at_once = max(1, options.steps[0].concurrency)
    for first in range(0, len(calls), at_once):
        batch = calls[first : first + at_once]
        await asyncio.gather(*(server.ask(call.path, call.body, RequestRecord(time.perf_counter())) for call in batch))
    return bodies


async def measure_step(
    server: Server,
    bodies: Bodies,
    options: LoadOptions,
    group: str = "load",
    when_started: Callable[[Traffic], None] = lambda traffic: None,
) -> MeasuredStep:
    """One load. Cancelled, it ends at once and still returns what there is (`was_interrupted`): the caller raises the
    CancelledError again if it was not the one that cancelled."""
    traffic = Traffic(server, bodies, options, group)
    watch = MetricsWatch(server, options.metrics_interval)
    watching = asyncio.create_task(watch.watch()) if options.metrics_interval else None
    was_interrupted = False
    when_started(traffic)
    try:
        await traffic.send_all()
    except asyncio.CancelledError:
        was_interrupted = True
    result = figures(
        traffic.records, traffic.elapsed, traffic.cpu_seconds, options.targets, traffic.began, options.whole_after
    )
    if watching is not None:
        watching.cancel()
        try:
            await asyncio.wait([watching])
            if not was_interrupted:
                await watch.look()  # the counters' last values
        except asyncio.CancelledError:
            was_interrupted = True
    return MeasuredStep(options, traffic.began, traffic.records, watch.samples, result, was_interrupted)
