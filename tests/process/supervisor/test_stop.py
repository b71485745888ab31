"""How a server ends: asked once, asked twice, or killed. Nothing may stay behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.supervisor.conftest import Start
from tests.support.children import ROOT
from tests.support.served import accepts_connections, eventually


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_drains_and_ends_with_0(start: Start, signum: signal.Signals) -> None:
    server = start("--frontends", "2")
    port = server.port_of(server.wait_ready())
    server.signal(signum)
    assert server.wait() == 0
    assert server.told("frontend 0")[-2:] == server.told("frontend 1")[-2:] == ["Drain", "Stop"]
    assert server.told("scheduler")[-1] == server.told("worker 0")[-1] == "Stop"
    assert not accepts_connections(port)


def test_requests_that_stay_open_are_ended_after_the_timeout(start: Start) -> None:
    server = start("--shutdown-timeout", "0.3", frontend="no_drain")
    server.wait_ready()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "ending requests that are still open" in server.errors
    assert server.told("frontend 0")[-2:] == ["Drain", "Stop"]


def test_a_child_that_does_not_stop_is_killed(start: Start) -> None:
    server = start(worker="no_stop")
    server.wait_ready()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "killing worker 0: it did not stop" in server.errors


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    server = start(frontend="no_drain")
    server.wait_ready()
    server.signal(signal.SIGTERM)
    eventually(lambda: "Drain" in server.told("frontend 0"), "draining")
    server.signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM
    assert "Traceback" not in server.errors


def test_killed_it_leaves_no_process_no_file_and_no_port(start: Start) -> None:
    server = start("--workers", "2", "--frontends", "2")
    port = server.port_of(server.wait_ready())
    server.signal(signal.SIGKILL)
    server.process.wait()
    server.check_nothing_left(deadline_s=3.0)
    assert not accepts_connections(port)


def test_a_worker_that_dies_while_draining_is_replaced(start: Start) -> None:
    server = start(frontend="no_drain")
    server.wait_ready()
    victim = server.of("worker")[0]
    server.signal(signal.SIGTERM)
    eventually(lambda: server.status().phase == "draining", "draining")
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: server.of("worker")[0].pid not in (0, victim.pid), "a new worker")
    server.signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM


def test_a_signal_while_it_ends_by_itself_ends_it_at_once(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(scheduler=f"die@{switch}", frontend="no_stop")
    server.wait_ready()
    switch.touch()
    os.kill(server.of("scheduler")[0].pid, signal.SIGKILL)
    eventually(lambda: "Stop" in server.told("frontend 0"), "the server gives up")
    server.signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM
    assert "Traceback" not in server.errors


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_while_it_still_imports(tmp_path: Path, signum: signal.Signals) -> None:
    """A stand-in for numpy holds the start up at its first heavy import."""
    (tmp_path / "numpy.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-m", "zerolane", "serve", "fake:generate"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signum)
        assert process.communicate(timeout=10) == (b"", b"")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
