"""A process that is stopped is killed and replaced."""

import os
import signal

import pytest

from tests.process.supervisor.conftest import Start
from tests.support.served import eventually


@pytest.mark.parametrize("role", ["worker", "scheduler", "frontend", "forkserver"])
def test_a_stopped_process_is_replaced(start: Start, role: str) -> None:
    server = start()
    server.wait_ready()
    victim = server.of(role)[0]
    os.kill(victim.pid, signal.SIGSTOP)
    server.replaced(role, victim.pid)
    assert "was stopped by a signal" in server.errors


def test_a_process_that_is_stopped_for_a_moment_is_left_alone(start: Start) -> None:
    server = start()
    server.wait_ready()
    process = server.of("worker")[0]
    os.kill(process.pid, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGCONT)
    eventually(lambda: server.of("worker")[0].uptime_s > process.uptime_s + 0.6, "two looks of the watchdog")
    assert server.of("worker")[0].pid == process.pid
