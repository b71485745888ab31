"""The server's own view of the load, read from its /metrics while it runs: zerolane's names and vLLM's."""

import asyncio
import time
from collections import defaultdict

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from scripts.load_testing.server import Server

# What each of our fields is called. Of two names for one thing a server has one.
ZEROLANE = {
    "zerolane_num_requests_running": "running",
    "zerolane_num_requests_waiting": "waiting",
    "zerolane_kv_pages_used": "kv_used",
    "zerolane_kv_pages_cached": "kv_cached",
    "zerolane_kv_pages_total": "kv_total",
    "zerolane_generation_tokens_total": "generated",
    "zerolane_prompt_tokens_total": "prompted",
    "zerolane_prompt_tokens_cached_total": "cached",
    "zerolane_preemptions_total": "preempted",
}
VLLM = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_share",
    "vllm:gpu_cache_usage_perc": "kv_share",
    "vllm:generation_tokens_total": "generated",
    "vllm:prefix_cache_queries_total": "prompted",
    "vllm:prefix_cache_hits_total": "cached",
    "vllm:num_preemptions_total": "preempted",
}
NAMES = ZEROLANE | VLLM


class ServerSample(Struct, frozen=True):
    """What the server said at one moment, summed over its models. None: it does not say."""

    at: float  # seconds of time.perf_counter
    running: float | None = None
    waiting: float | None = None
    kv_share: float | None = None  # of the KV memory that running requests hold
    kv_cached_share: float | None = None  # of it that nothing holds, kept for its prefix
    generated: float | None = None  # tokens since the server's start, as are the following
    prompted: float | None = None
    cached: float | None = None  # prompt tokens found in the prefix cache
    preempted: float | None = None


def read_sample(text: str, at: float) -> ServerSample | None:
    """From Prometheus' text; None: it holds nothing we know."""
    try:
        totals = _totals(text)
    except ValueError:  # not Prometheus' text
        return None
    return _sample(totals, at) if totals else None


def _totals(text: str) -> dict[str, float]:
    """Our fields, summed over the labels. Raises ValueError."""
    known = "\n".join(line for line in text.splitlines() if line.startswith(tuple(NAMES)))  # parsing all takes long
    sums: dict[str, list[float]] = defaultdict(list)
    for family in text_string_to_metric_families(known + "\n"):
        for sample in family.samples:
            if sample.name in NAMES:
                sums[NAMES[sample.name]].append(sample.value)
    totals = {field: sum(values) for field, values in sums.items()}
    if "kv_share" in sums:
        totals["kv_share"] = max(sums["kv_share"])  # one for each engine of the server
    return totals


def _sample(totals: dict[str, float], at: float) -> ServerSample:
    kv_used, kv_cached, kv_total = (totals.pop(name, None) for name in ("kv_used", "kv_cached", "kv_total"))
    if kv_total:
        totals["kv_share"] = (kv_used or 0) / kv_total
        totals["kv_cached_share"] = (kv_cached or 0) / kv_total
    return ServerSample(at, **totals)


class MetricsWatch:
    """Looks at the server every `interval` seconds until its task is cancelled. A server without metrics leaves
    `samples` empty."""

    def __init__(self, server: Server, interval: float) -> None:
        self.samples: list[ServerSample] = []
        self._server = server
        self._interval = interval

    async def watch(self) -> None:
        """Runs until it is cancelled, or ends when the server has no metrics."""
        while await self.look():
            await asyncio.sleep(self._interval)

    async def look(self) -> bool:
        """One sample more. False: looking again is useless."""
        text = await self._server.metrics()
        sample = None if text is None else read_sample(text, time.perf_counter())
        if sample is not None:
            self.samples.append(sample)
        return sample is not None or bool(self.samples)
