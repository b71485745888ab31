"""Processes die in the middle of things, at places named in the code: every answer is right all the same."""

import asyncio
from collections.abc import Sequence

import pytest

from scripts.chaos_testing.http_client import Attempt, ask
from tests.support.fake_load import MODELS, Asked, answered_while, check_answers, mixed_load, port_of, undisturbed
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import DEADLINE_S, eventually

SMALL_STEPS = ("--fake-step-ms", "3", "--max-num-batched-tokens", "64")
WORKER_PLACES = ("worker.ticket_taken", "worker.computed", "worker.ring.written", "worker.reported")
SCHEDULER_PLACES = ("scheduler.published", "scheduler.committed", "scheduler.ring.written", "scheduler.forwarded")


def one_a_life(places: tuple[str, ...], count: int) -> dict[str, str]:
    """The environment in which the process' first life ends at the first place, its second at the second, ..."""
    faults = [f"{place}#{epoch}=kill@{count}" for epoch, place in enumerate(places, 1)]
    return {"ZEROLANE_FAULT": ",".join(faults)}


def check_at_rest(server: Server) -> None:
    """Nothing is open, nothing is held."""
    for name in ("running", "waiting"):
        eventually(lambda name=name: metric(server.url, f"zerolane_num_requests_{name}") == 0, f"none {name}")  # type: ignore[misc]
    assert metric(server.url, "zerolane_kv_pages_used") == 0
    assert metric(server.url, "zerolane_requests_finished_total", reason="error") == 0


@pytest.mark.parametrize(("phase", "count", "prompt_bytes"), [("prefill", 3, 300), ("decode", 30, 40)])
def test_worker_dies_at_every_place(start_server: StartServer, phase: str, count: int, prompt_bytes: int) -> None:
    server = start_server(*MODELS, *SMALL_STEPS, environment=one_a_life(WORKER_PLACES, count))
    load = mixed_load(15, num_tokens=120, prompt_bytes=prompt_bytes)
    check_answers(load, asyncio.run(answered_while(server, load, undisturbed)))
    assert metric(server.url, "zerolane_worker_deaths_total") == len(WORKER_PLACES)
    assert metric(server.url, "zerolane_reprefilled_tokens_total") == 0
    check_at_rest(server)


def test_scheduler_dies_at_every_place(start_server: StartServer) -> None:
    server = start_server(*MODELS, *SMALL_STEPS, "--workers", "2", environment=one_a_life(SCHEDULER_PLACES, 60))
    load = mixed_load(15, num_tokens=200)
    check_answers(load, asyncio.run(answered_while(server, load, undisturbed)))
    assert metric(server.url, "zerolane_process_restarts_total", role="scheduler") == len(SCHEDULER_PLACES)
    assert metric(server.url, "zerolane_worker_deaths_total") == 0
    check_at_rest(server)


@pytest.mark.parametrize("place", ["migration.reserved", "migration.copied", "migration.committed"])
def test_scheduler_dies_while_pages_move(start_server: StartServer, place: str) -> None:
    arguments = (*MODELS, *SMALL_STEPS, "--pools", "2", "--workers", "2")
    server = start_server(*arguments, environment={"ZEROLANE_FAULT": f"{place}=kill@2"})
    load = mixed_load(10, num_tokens=250)

    async def remove_a_pool() -> None:
        await asyncio.to_thread(server.served.scale, pools=1)

    check_answers(load, asyncio.run(answered_while(server, load, remove_a_pool)))
    assert metric(server.url, "zerolane_process_restarts_total", role="scheduler") == 1
    check_at_rest(server)


def test_frontend_dies_at_every_place(start_server: StartServer) -> None:
    """Its clients lose their connections; who asks again is answered, and nothing of the first try is left."""
    faults = {"ZEROLANE_FAULT": "frontend.submitted#1=kill@6,frontend.received#2=kill@40"}
    server = start_server(*MODELS, *SMALL_STEPS, environment=faults)
    load = mixed_load(10, num_tokens=100)
    attempts = asyncio.run(asked_again_when_lost(port_of(server), load))
    check_answers(load, attempts)
    assert metric(server.url, "zerolane_process_restarts_total", role="frontend") == 2
    assert metric(server.url, "zerolane_requests_finished_total", reason="abort") > 0
    check_at_rest(server)


async def asked_again_when_lost(port: int, load: Sequence[Asked]) -> list[Attempt]:
    """The last attempt of each."""

    async def ask_again(asked: Asked) -> Attempt:
        async with asyncio.timeout(DEADLINE_S):
            while (attempt := await ask(port, asked.question)).failure.startswith("connection lost"):
                pass
        return attempt

    return await asyncio.gather(*(ask_again(asked) for asked in load))


def test_worker_hangs_in_a_step(start_server: StartServer) -> None:
    faults = {"ZEROLANE_FAULT": "worker.computed=hang@30"}
    server = start_server(*MODELS, *SMALL_STEPS, "--step-timeout", "0.5", environment=faults)
    load = mixed_load(10, num_tokens=120)
    check_answers(load, asyncio.run(answered_while(server, load, undisturbed)))
    assert metric(server.url, "zerolane_worker_hangs_total") == 1
    assert metric(server.url, "zerolane_worker_deaths_total") == 1
    check_at_rest(server)
