"""Processes are killed while clients wait: nobody hangs, nobody gets a wrong token, and the server goes on."""

import asyncio
import os
import signal

import httpx
import pytest

from tests.support.fake_text import expected_text
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import eventually
from tests.support.sse_client import Streamed, stream_completion

NUM_STREAMS = 16
MAX_TOKENS = 400


def prompt_of(number: int) -> str:
    return f"client {number} has a prompt that fills more than one page of the cache"


async def stream_while(server: Server, disturb: list[tuple[str, int]]) -> list[Streamed]:
    """Stream from NUM_STREAMS clients; kill (role, id) one after the other once tokens flow."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
        bodies = [
            {"prompt": prompt_of(number), "max_tokens": MAX_TOKENS, "ignore_eos": True, "temperature": 0}
            for number in range(NUM_STREAMS)
        ]
        tasks = [asyncio.create_task(stream_completion(client, body)) for body in bodies]
        for role, process_id in disturb:
            begin = metric(server.url, "zerolane_generation_tokens_total")
            while metric(server.url, "zerolane_generation_tokens_total") < begin + 5 * NUM_STREAMS:
                await asyncio.sleep(0.01)  # the metric is the event; it can only be looked at
            victim = next(p for p in server.served.of(role) if p.id == process_id)
            os.kill(victim.pid, signal.SIGKILL)
            await asyncio.to_thread(server.served.replaced, role, victim.pid)
        return await asyncio.gather(*tasks)


def check_one_more_answer(server: Server) -> None:
    body = {"prompt": "afterwards", "max_tokens": 8, "ignore_eos": True, "temperature": 0}
    answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=30.0)
    assert answer.json()["choices"][0]["text"] == expected_text("afterwards", 8, ignore_eos=True)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_killed_workers_are_not_noticed(start_server: StartServer, num_workers: int) -> None:
    server = start_server("fake:generate", "--workers", str(num_workers), "--fake-step-ms", "5")
    prefilled = metric(server.url, "zerolane_prefilled_tokens_total")
    outcomes = asyncio.run(stream_while(server, [("worker", 0), ("worker", num_workers - 1)]))
    for number, streamed in enumerate(outcomes):
        assert streamed.errors == []
        assert streamed.text == expected_text(prompt_of(number), MAX_TOKENS, ignore_eos=True)
        assert streamed.is_done
    assert metric(server.url, "zerolane_worker_deaths_total") == 2
    assert metric(server.url, "zerolane_process_restarts_total", role="worker") == 2
    once = sum(len(prompt_of(number)) - 1 for number in range(NUM_STREAMS))  # the last one counts as decoding
    assert metric(server.url, "zerolane_prefilled_tokens_total") - prefilled == once
    check_one_more_answer(server)


def test_killed_scheduler_ends_each_open_request_with_one_error(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", "5")
    outcomes = asyncio.run(stream_while(server, [("scheduler", 0)]))
    for number, streamed in enumerate(outcomes):
        assert len(streamed.errors) == 1
        assert streamed.is_done
        assert expected_text(prompt_of(number), MAX_TOKENS, ignore_eos=True).startswith(streamed.text)
    check_one_more_answer(server)


def test_killed_frontend_takes_only_its_own_connections(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", "5")
    with pytest.raises(httpx.HTTPError):
        asyncio.run(stream_while(server, [("frontend", 0)]))
    eventually(
        lambda: metric(server.url, "zerolane_num_requests_running") == 0, "the dead frontend's streams are aborted"
    )
    check_one_more_answer(server)


def test_killed_supervisor_leaves_nothing(start_server: StartServer) -> None:
    server = start_server("fake:generate", "fake:score", "--frontends", "2", "--workers", "2")
    server.served.status()
    server.served.signal(signal.SIGKILL)
    assert server.served.wait() == -signal.SIGKILL
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health", timeout=5.0)
