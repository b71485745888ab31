"""A tree of processes stops as a whole, goes on, and is ended whatever state it is in."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchmarks.peers.janitor import Janitor
from benchmarks.peers.processes import UsageWindow, end, resume, suspend, tree

DEADLINE_S = 20.0
SPIN = "while True: pass"
# A parent that waits for a child with a second thread that computes.
PROGRAM = f"""
import subprocess, sys
child = "import threading; threading.Thread(target=lambda: exec({SPIN!r})).start(); print(1, flush=True); input()"
process = subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE)
process.wait()
"""


@pytest.fixture
def spinning() -> Iterator[int]:
    """The root of a tree that computes all the time."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        yield process.pid
    finally:
        end([process.pid])
        process.wait(DEADLINE_S)
        if process.stdout is not None:
            process.stdout.close()


def cores_used(root_pid: int) -> float:
    """By the tree, while this process computes for a moment."""
    window, end = UsageWindow(root_pid), time.process_time() + 0.15
    while time.process_time() < end:
        pass
    return window.close().peer_cores


def test_a_tree_stops_and_goes_on(spinning: int) -> None:
    assert len(tree(spinning)) == 2
    suspend(spinning)
    assert cores_used(spinning) == 0.0
    resume(spinning)
    deadline = time.monotonic() + DEADLINE_S
    while cores_used(spinning) == 0.0:
        assert time.monotonic() < deadline


def test_the_janitor_ends_what_is_stopped(spinning: int) -> None:
    janitor = Janitor()
    janitor.watch(spinning)
    suspend(spinning)
    janitor.close()
    deadline = time.monotonic() + DEADLINE_S
    while any(process.is_running() and process.status() != "zombie" for process in tree(spinning)):
        assert time.monotonic() < deadline
