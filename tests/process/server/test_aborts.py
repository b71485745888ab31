"""Clients that leave at any moment: nothing of theirs stays, and nobody else notices."""

import asyncio
import os
import random
from pathlib import Path

import httpx

from tests.support.fake_text import expected_text
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import eventually
from tests.support.sse_client import stream_completion

NUM_REQUESTS = 1000
CONCURRENCY = 64


def held_by_server(server: Server) -> dict[int, tuple[int, int]]:
    """For each process: its open descriptors, and its mapped segments."""
    counts = {}
    for process in server.served.status().processes:
        folder = Path(f"/proc/{process.pid}")
        maps = sum("/memfd:" in line for line in (folder / "maps").read_text().splitlines())
        counts[process.pid] = (len(os.listdir(folder / "fd")), maps)
    return counts


async def one_request(client: httpx.AsyncClient, number: int, rng: random.Random) -> str | None:
    """What went wrong, if anything. A third leave early, streaming or not."""
    prompt = f"{number} " * rng.randint(1, 60)
    max_tokens = rng.randint(1, 40)
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
    leaves = rng.random() < 1 / 3
    if rng.random() < 0.5:
        streamed = await stream_completion(client, body, leave_after=rng.randint(1, 10) if leaves else None)
        if leaves:
            return None
        fine = streamed.is_done and not streamed.errors and streamed.text == expected_text(prompt, max_tokens)
        return None if fine else f"stream {number}: {streamed}"
    try:
        timeout = rng.uniform(0.001, 0.05) if leaves else 60.0
        response = await client.post("/v1/completions", json=body, timeout=timeout)
    except httpx.TimeoutException:
        return None if leaves else f"request {number} timed out"
    text = response.json()["choices"][0]["text"]
    return None if text == expected_text(prompt, max_tokens) else f"request {number}: {text}"


def test_1000_requests_with_a_third_aborted(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--frontends", "2", "--fake-step-ms", "1")
    rng = random.Random(20)

    async def ask(count: int) -> list[str]:
        gate = asyncio.Semaphore(CONCURRENCY)

        async def gated(number: int) -> str | None:
            async with gate:
                return await one_request(client, number, rng)

        async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
            return [wrong for wrong in await asyncio.gather(*map(gated, range(count))) if wrong]

    def is_quiet() -> bool:
        gauges = ("zerolane_num_requests_running", "zerolane_num_requests_waiting", "zerolane_kv_pages_used")
        return all(metric(server.url, name) == 0 for name in gauges)

    assert asyncio.run(ask(100)) == []  # pools, caches and threads come into being
    eventually(is_quiet, "nothing runs, waits or holds pages after the warm-up")
    before = held_by_server(server)
    assert asyncio.run(ask(NUM_REQUESTS)) == []
    eventually(is_quiet, "nothing runs, waits or holds pages")
    eventually(lambda: held_by_server(server) == before, f"descriptors and segments as before: {before}")
    assert metric(server.url, "zerolane_requests_finished_total", reason="abort") > 0
    assert metric(server.url, "zerolane_http_requests_in_flight", route="/v1/completions") == 0
