"""Processes are killed or stopped while clients wait: nobody hangs, nobody gets a wrong token, the server goes on."""

import asyncio
import os
import signal

import httpx
import pytest

from scripts.chaos_testing.processes import ports_of
from tests.support.fake_load import (
    MODELS,
    answered_while,
    check_answers,
    completion,
    mixed_load,
    port_of,
    wait_for_tokens,
)
from tests.support.metrics_client import metric
from tests.support.running_server import Server, StartServer
from tests.support.served import eventually

STEP = ("--fake-step-ms", "5")
NUM_TOKENS = 150
GO_ON_TOKENS = 50  # of all streams together between two disturbances
LOAD = mixed_load(16, NUM_TOKENS)


def check_one_more_answer(server: Server) -> None:
    again = [completion("afterwards", 8, temperature=0)]

    async def nothing() -> None:
        pass

    check_answers(again, asyncio.run(answered_while(server, again, nothing)))


def pid_of(server: Server, role: str) -> int:
    """Of the first one in service."""
    return next(process.pid for process in server.served.of(role) if process.state == "ready")


def signal_and_see_replaced(server: Server, role: str, signum: signal.Signals) -> int:
    """The pid that was signalled; returns once another process is in its place and tokens flow again."""
    pid = pid_of(server, role)
    os.kill(pid, signum)
    server.served.replaced(role, pid)
    wait_for_tokens(server, metric(server.url, "zerolane_generation_tokens_total") + GO_ON_TOKENS)
    return pid


@pytest.mark.parametrize("num_spares", [0, 1])
def test_killed_and_stopped_workers_are_not_noticed(start_server: StartServer, num_spares: int) -> None:
    server = start_server(*MODELS, *STEP, "--spares", str(num_spares))
    spares = [process.pid for process in server.served.of("spare")]

    async def disturb() -> None:
        await asyncio.to_thread(signal_and_see_replaced, server, "worker", signal.SIGKILL)
        assert num_spares == 0 or pid_of(server, "worker") == spares[0]
        await asyncio.to_thread(signal_and_see_replaced, server, "worker", signal.SIGSTOP)

    check_answers(LOAD, asyncio.run(answered_while(server, LOAD, disturb)))
    assert metric(server.url, "zerolane_worker_deaths_total") == 2
    assert metric(server.url, "zerolane_reprefilled_tokens_total") == 0
    check_one_more_answer(server)


def test_killed_scheduler_is_not_noticed(start_server: StartServer) -> None:
    """The worker sleeps over it and wakes up with a step of the dead scheduler in its hands: nobody takes it."""
    server = start_server(*MODELS, *STEP, "--workers", "2")

    async def disturb() -> None:
        zombie = pid_of(server, "worker")
        os.kill(zombie, signal.SIGSTOP)
        scheduler = pid_of(server, "scheduler")
        os.kill(scheduler, signal.SIGKILL)
        await asyncio.sleep(0.1)
        os.kill(zombie, signal.SIGCONT)
        await asyncio.to_thread(server.served.replaced, "scheduler", scheduler)
        await asyncio.to_thread(signal_and_see_replaced, server, "scheduler", signal.SIGKILL)

    check_answers(LOAD, asyncio.run(answered_while(server, LOAD, disturb)))
    assert metric(server.url, "zerolane_process_restarts_total", role="scheduler") == 2
    check_one_more_answer(server)


def test_killed_frontend_takes_only_its_own_connections(start_server: StartServer) -> None:
    server = start_server(*MODELS, *STEP, "--frontends", "2")
    lost_ports: set[int] = set()

    async def disturb() -> None:
        victim = pid_of(server, "frontend")
        os.kill(victim, signal.SIGSTOP)  # it accepts nothing between the look at its connections and its end
        lost_ports.update(ports_of(victim, port_of(server)))
        os.kill(victim, signal.SIGKILL)
        await asyncio.to_thread(server.served.replaced, "frontend", victim)

    attempts = asyncio.run(answered_while(server, LOAD, disturb))
    kept = [(asked, one) for asked, one in zip(LOAD, attempts, strict=True) if one.local_port not in lost_ports]
    check_answers([asked for asked, _ in kept], [attempt for _, attempt in kept])
    assert all(attempt.failure for attempt in attempts if attempt.local_port in lost_ports)
    eventually(lambda: metric(server.url, "zerolane_num_requests_running") == 0, "the dead frontend's are aborted")
    assert metric(server.url, "zerolane_kv_pages_used") == 0
    check_one_more_answer(server)


def test_killed_fork_server_is_not_noticed_and_workers_still_come(start_server: StartServer) -> None:
    server = start_server(*MODELS, *STEP)

    async def disturb() -> None:
        fork_server = pid_of(server, "forkserver")
        os.kill(fork_server, signal.SIGKILL)
        await asyncio.to_thread(signal_and_see_replaced, server, "worker", signal.SIGKILL)
        await asyncio.to_thread(server.served.replaced, "forkserver", fork_server)

    check_answers(LOAD, asyncio.run(answered_while(server, LOAD, disturb)))
    assert metric(server.url, "zerolane_worker_deaths_total") == 1


def test_killed_supervisor_leaves_nothing(start_server: StartServer) -> None:
    server = start_server(*MODELS, "--frontends", "2", "--workers", "2", "--spares", "1")
    server.served.status()
    server.served.signal(signal.SIGKILL)
    assert server.served.wait() == -signal.SIGKILL
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health", timeout=5.0)
