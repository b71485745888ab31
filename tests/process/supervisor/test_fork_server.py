"""Workers come from the fork server; it may die, and workers that run do not notice."""

import os
import signal
from pathlib import Path

from ipc.operator_protocol import Scaled
from tests.process.supervisor.conftest import StandInServed, Start
from tests.support.served import eventually


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill_fork_server(server: StandInServed) -> int:
    pid = server.of("forkserver")[0].pid
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_worker_is_the_supervisors_child_in_a_session_of_its_own(start: Start) -> None:
    server = start()
    server.wait_ready()
    pid = server.of("worker")[0].pid
    assert parent_of(pid) == server.process.pid
    assert os.getsid(pid) == pid


def test_a_dead_fork_server_is_replaced_and_workers_do_not_notice(start: Start) -> None:
    server = start()
    server.wait_ready()
    worker = server.of("worker")[0]
    server.replaced("forkserver", kill_fork_server(server))
    assert server.of("worker")[0].pid == worker.pid
    os.kill(worker.pid, signal.SIGKILL)
    assert server.replaced("worker", worker.pid)[0].epoch == 2


def test_a_worker_that_was_being_made_is_asked_for_again(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(forkserver=f"die_at_fork@{switch}")
    server.wait_ready()
    worker = server.of("worker")[0]
    switch.touch()
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: "fork server ended with exit code 3" in server.errors, "a fork server that died")
    switch.unlink()
    assert server.replaced("worker", worker.pid)[0].epoch == 2
    asked = [record for name, _, kind, record in server.notes if (name, kind) == ("forkserver", "ForkWorker")]
    assert [(record["worker_id"], record["epoch"]) for record in asked[:2]] == [(0, 1), (0, 2)]
    assert asked[-1]["epoch"] == 2


def test_a_fork_that_fails_is_tried_again(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(forkserver=f"cannot_fork@{switch}")
    server.wait_ready()
    worker = server.of("worker")[0]
    switch.touch()
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: "worker 0 could not be made: no process is left" in server.errors, "a fork that failed")
    switch.unlink()
    server.replaced("worker", worker.pid)


def test_without_a_fork_server_running_workers_go_on_and_scaling_tries_again(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(forkserver=f"die@{switch}")
    server.wait_ready()
    switch.touch()
    kill_fork_server(server)
    eventually(lambda: server.of("forkserver")[0].state == "failed", "a fork server that was given up")
    assert server.status().ready
    switch.unlink()
    assert isinstance(server.scale(2), Scaled)
    assert server.of("forkserver")[0].state == "ready"


def test_an_orphan_that_ends_is_no_zombie(start: Start) -> None:
    server = start(scheduler="orphan")
    server.wait_ready()
    eventually(lambda: "an orphan has ended" in server.errors, "the orphan was waited for")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert {int(pid) for pid in children} == {process.pid for process in server.status().processes[1:]}
