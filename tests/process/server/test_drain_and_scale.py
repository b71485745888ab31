"""The server is stopped or scaled while clients wait: what is open is finished, what is new is refused."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import httpx
import pytest

from ipc.operator_protocol import Scaled
from tests.support.fake_text import expected_text
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import eventually
from tests.support.sse_client import Streamed, stream_completion

NUM_STREAMS = 8
STEP_MS = "10"
Disturb = Callable[[Server], Awaitable[None]]


def prompt_of(number: int) -> str:
    return f"client {number} waits"


def stream_during(server: Server, disturb: Disturb, max_tokens: int) -> list[Streamed]:
    """Stream from NUM_STREAMS clients; disturb the server once tokens flow."""

    async def run() -> list[Streamed]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60.0) as client:
            bodies = [
                {"prompt": prompt_of(number), "max_tokens": max_tokens, "ignore_eos": True, "temperature": 0}
                for number in range(NUM_STREAMS)
            ]
            tasks = [asyncio.create_task(stream_completion(client, body)) for body in bodies]
            await asyncio.to_thread(wait_for_tokens, server, NUM_STREAMS)
            await disturb(server)
            return await asyncio.gather(*tasks)

    return asyncio.run(run())


def wait_for_tokens(server: Server, count: int) -> None:
    eventually(lambda: metric(server.url, "zerolane_generation_tokens_total") >= count, "tokens flow")


def check_complete(outcomes: list[Streamed], max_tokens: int) -> None:
    for number, streamed in enumerate(outcomes):
        assert streamed.errors == []
        assert streamed.text == expected_text(prompt_of(number), max_tokens, ignore_eos=True)
        assert streamed.is_done


async def terminate(server: Server) -> None:
    server.served.signal(signal.SIGTERM)


def test_open_streams_are_finished_before_it_stops(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", STEP_MS)
    check_complete(stream_during(server, terminate, 200), 200)
    assert server.served.wait() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health", timeout=5.0)


async def terminate_all(server: Server) -> None:
    """As a service manager does: every process is told, the supervisor last."""
    for process in reversed(server.served.status().processes):
        if process.role != "loader":
            os.kill(process.pid, signal.SIGTERM)


def test_a_signal_to_every_process_is_one_to_the_supervisor(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", STEP_MS, "--workers", "2", "--spares", "1")
    check_complete(stream_during(server, terminate_all, 200), 200)
    assert server.served.wait() == 0
    assert " SIGTERM" not in server.served.errors  # nobody died of it


def test_streams_that_take_too_long_are_ended_with_one_error(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", STEP_MS, "--shutdown-timeout", "0.5")
    for number, streamed in enumerate(stream_during(server, terminate, 3000)):
        assert len(streamed.errors) == 1
        assert expected_text(prompt_of(number), 3000, ignore_eos=True).startswith(streamed.text)
    assert server.served.wait() == 0


def test_a_second_signal_does_not_wait_for_streams(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", STEP_MS)

    async def terminate_twice(server: Server) -> None:
        server.served.signal(signal.SIGTERM)
        await asyncio.to_thread(eventually, lambda: server.served.status().phase == "draining", "draining")
        server.served.signal(signal.SIGTERM)

    with pytest.raises(httpx.HTTPError):
        stream_during(server, terminate_twice, 3000)
    assert server.served.wait() == 128 + signal.SIGTERM


def test_scaling_under_load_loses_no_token(start_server: StartServer) -> None:
    server = start_server("fake:generate", "--fake-step-ms", STEP_MS)

    async def scale_up_and_down(server: Server) -> None:
        for num_workers in (3, 1, 2, 1):
            assert isinstance(await asyncio.to_thread(server.served.scale, num_workers), Scaled)

    check_complete(stream_during(server, scale_up_and_down, 600), 600)
    assert metric(server.url, "zerolane_worker_deaths_total") == 0
    assert metric(server.url, "zerolane_workers") == 1
