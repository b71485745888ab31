"""A killed frontend takes only the connections it had accepted: those that wait at the listening socket are served."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest, fake_cards, new_listener
from tests.support.scripted_scheduler import ScriptedScheduler

pytestmark = pytest.mark.process

NUM_CONNECTIONS = 300  # more than asyncio's own backlog of 100
REQUEST = b"GET /health HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with new_listener() as listener:
        yield listener


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def stopped(frontend: FrontendUnderTest) -> None:
    """From here on it accepts nothing."""
    frontend.process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + DEADLINE_S
    while "T (stopped)" not in Path(f"/proc/{frontend.process.pid}/status").read_text():
        assert time.monotonic() < deadline


def ask(port: int) -> socket.socket:
    """A connection that has said its request. The kernel takes both: nobody has accepted it."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    connection.sendall(REQUEST)
    return connection


def check_answered(connection: socket.socket) -> None:
    with connection:
        assert connection.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("num_others", [1, 0])
def test_waiting_connections_survive(folder: Path, listener: socket.socket, num_others: int) -> None:
    """They are served by the other frontend, or by the killed one's replacement."""
    with ExitStack() as stack:
        scheduler = ScriptedScheduler(folder)
        stack.callback(scheduler.close)

        def start() -> FrontendUnderTest:
            frontend = FrontendUnderTest(folder, scheduler.address, fake_cards(), listener)
            stack.callback(frontend.close)
            return frontend

        victim, *others = [start() for _ in range(1 + num_others)]
        for frontend in (victim, *others):
            stopped(frontend)
        waiting = [ask(victim.port) for _ in range(NUM_CONNECTIONS)]
        victim.process.kill()
        victim.process.wait(DEADLINE_S)
        if others:
            os.kill(others[0].process.pid, signal.SIGCONT)
        else:
            start()
        for connection in waiting:
            check_answered(connection)
