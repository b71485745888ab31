"""The operator's commands over the control socket."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ipc.operator_protocol import AskDrain, AskScale, CommandProgress, Ended, Refused, Reply, Scaled
from tests.process.supervisor.conftest import StandInServed, Start
from tests.support.children import ROOT
from tests.support.served import eventually
from zerolane.operator_client import NoServer, find_server

COMMAND_S = 30


def command(server: StandInServed, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`zerolane ARGUMENTS --runtime-dir ...`."""
    return subprocess.run(
        [sys.executable, "-m", "zerolane", *arguments, "--runtime-dir", str(server.base)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def test_workers_are_added_and_drained_highest_first(start: Start) -> None:
    server = start()
    server.wait_ready()
    up = server.scale(3)
    assert isinstance(up, Scaled)
    assert (up.workers, up.started, up.stopped) == (3, 2, 0)
    assert [process.id for process in server.of("worker")] == [0, 1, 2]
    down = server.scale(1)
    assert isinstance(down, Scaled)
    assert (down.workers, down.started, down.stopped) == (1, 0, 2)
    assert [process.id for process in server.of("worker")] == [0]
    assert server.told("worker 2")[-1] == "Stop"
    assert [record["worker_id"] for _, _, kind, record in server.notes if kind == "DrainWorker"] == [2, 1]
    assert "WorkerGone" not in server.told("scheduler")
    assert isinstance(server.scale(2), Scaled)
    assert server.of("worker")[1].epoch == 2  # an epoch never comes twice


def test_a_worker_that_cannot_start_is_reported(start: Start) -> None:
    server = start(worker_1="fatal")
    server.wait_ready()
    reply = server.scale(2)
    assert isinstance(reply, Refused)
    assert reply.message == "worker 1 could not be kept running: worker 1 cannot go on."
    assert server.status().ready


def test_scaling_again_tries_what_was_given_up(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.touch()
    server = start(worker_1=f"fatal@{switch}")
    server.wait_ready()
    assert isinstance(server.scale(2), Refused)
    switch.unlink()
    again = server.scale(2)
    assert isinstance(again, Scaled)
    assert (again.workers, again.started) == (2, 1)


def test_spares_come_and_go(start: Start) -> None:
    server = start()
    server.wait_ready()
    up = server.scale(spares=2)
    assert isinstance(up, Scaled)
    assert (up.workers, up.spares, up.started) == (1, 2, 2)
    first_spare = server.of("spare")[0].pid
    put_to_work = server.scale(2, spares=1)
    assert isinstance(put_to_work, Scaled)
    assert (put_to_work.workers, put_to_work.spares, put_to_work.started) == (2, 1, 0)
    assert server.of("worker")[1].pid == first_spare
    assert isinstance(server.scale(spares=0), Scaled)
    assert server.of("spare") == []


def test_workers_are_spread_over_pools(start: Start) -> None:
    server = start()
    server.wait_ready()
    assert isinstance(server.scale(5, pools=2), Scaled)
    assert sorted(process.pool or 0 for process in server.of("worker")) == [0, 0, 0, 1, 1]
    assert isinstance(server.scale(2), Scaled)
    assert sorted(process.pool or 0 for process in server.of("worker")) == [0, 1]
    assert isinstance(server.scale(pools=1), Scaled)
    assert [process.pool for process in server.of("worker")] == [0, 0]
    assert server.last("scheduler", "DrainPool")["pool"] == 1


def test_drain_waits_for_the_end(start: Start) -> None:
    server = start(frontend="no_drain")
    server.wait_ready()
    *progress, last = server.replies_to(AskDrain(timeout_s=0.2))
    assert CommandProgress("0 requests are open") in progress
    assert isinstance(last, Ended)
    assert (last.exit_code, last.requests_ended) == (0, 0)
    assert server.wait() == 0


def test_drain_is_told_when_a_signal_ends_it_at_once(start: Start) -> None:
    server = start(frontend="no_drain")
    server.wait_ready()
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.extend(server.replies_to(AskDrain())))
    asking.start()
    eventually(lambda: server.status().phase == "draining", "draining")
    server.signal(signal.SIGTERM)
    asking.join(30.0)
    assert isinstance(replies[-1], Ended)
    assert replies[-1].exit_code == 128 + signal.SIGTERM
    assert server.wait() == 128 + signal.SIGTERM


def test_scaling_tells_how_far_it_is(start: Start) -> None:
    server = start()
    server.wait_ready()
    *progress, last = server.replies_to(AskScale(2))
    assert isinstance(last, Scaled)
    assert progress == [CommandProgress("1 of 2 workers serve"), CommandProgress("2 of 2 workers serve")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"cmd":"scale","workers":0}\n', ">= 1"),
        (b'{"cmd":"scale","workers":"two"}\n', "Expected `int | null`"),
        (b'{"cmd":"dance"}\n', "Invalid value 'dance'"),
        (b"scale 3\n", "malformed"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(start: Start, line: bytes, said: str) -> None:
    server = start()
    server.wait_ready()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(find_server(str(server.base), None) / "control.sock"))
        connection.sendall(line)
        reply = json.loads(connection.makefile().read())
    assert reply["reply"] == "refused"
    assert said in reply["message"]


def test_a_second_scale_command_is_refused_while_one_is_under_way(start: Start) -> None:
    server = start(worker_1="silent")
    server.wait_ready()
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(find_server(str(server.base), None) / "control.sock"))
        first.sendall(b'{"cmd":"scale","workers":2}\n')
        assert b"progress" in first.recv(1 << 16)
        reply = server.scale(1)
    assert isinstance(reply, Refused)
    assert "under way" in reply.message


def test_the_commands_of_the_command_line(start: Start) -> None:
    server = start()
    port = server.port_of(server.wait_ready())
    scaled = command(server, "scale", "--workers", "2")
    assert (scaled.returncode, scaled.stdout.split(",")[0]) == (0, "workers that serve: 2 (1 started")
    seen = json.loads(command(server, "status", "--json").stdout)
    assert seen["ready"] is True
    assert [(p["role"], p["id"], p["state"]) for p in seen["processes"]] == [
        ("supervisor", 0, "serving"),
        ("frontend", 0, "ready"),
        ("scheduler", 0, "ready"),
        ("forkserver", 0, "ready"),
        ("worker", 0, "ready"),
        ("worker", 1, "ready"),
    ]
    assert all(process["pss_mib"] > 0 for process in seen["processes"])
    table = command(server, "status", "--port", str(port))
    assert table.returncode == 0
    assert f"on http://127.0.0.1:{port}, serving, ready" in table.stdout
    assert "fake-generate  generate" in table.stdout


def test_a_wrong_port_is_answered_with_the_right_one(start: Start) -> None:
    server = start()
    port = server.port_of(server.wait_ready())
    with pytest.raises(NoServer, match=f"No zerolane server runs on port 1, only on {port}"):
        find_server(str(server.base), 1)


def test_two_servers_must_be_told_apart(start: Start) -> None:
    first = start()
    first.wait_ready()
    second = start("--runtime-dir", str(first.base))
    line = second.process.stdout.readline() if second.process.stdout else ""
    failed = command(first, "status")
    assert failed.returncode == 1
    assert "say which with --port" in failed.stderr
    assert command(first, "status", "--port", str(second.port_of(line))).returncode == 0


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"]])
def test_a_reader_that_has_enough_is_no_error(start: Start, arguments: list[str]) -> None:
    """`zerolane status | head -1` showed a trace."""
    server = start()
    server.wait_ready()
    reader, writer = os.pipe()
    os.close(reader)
    command_line = [sys.executable, "-m", "zerolane", *arguments, "--runtime-dir", str(server.base)]
    ended = subprocess.run(
        command_line, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, timeout=COMMAND_S, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")
