"""Processes that die while the server runs are replaced, and everybody who has to know is told."""

import os
import signal
from pathlib import Path

from ipc.operator_protocol import Scaled
from tests.process.supervisor.conftest import Start
from tests.support.served import accepts_connections, eventually


def test_a_dead_worker_is_replaced(start: Start) -> None:
    server = start("--workers", "2")
    server.wait_ready()
    victim = server.of("worker")[1]
    os.kill(victim.pid, signal.SIGKILL)
    process = server.replaced("worker", victim.pid)[1]
    assert (process.id, process.epoch, process.restarts) == (1, 2, 1)
    assert server.told("scheduler") == ["ModelsReady", "AddPool", "AddWorker", "AddWorker", "WorkerGone", "AddWorker"]
    gone = server.last("scheduler", "WorkerGone")
    assert (gone["worker_id"], gone["epoch"], gone["will_return"]) == (1, 1, True)
    assert server.last("scheduler", "AddWorker")["epoch"] == 2


def test_a_dead_scheduler_is_replaced_and_every_worker_gets_a_new_link(start: Start) -> None:
    server = start("--workers", "2")
    server.wait_ready()
    victim = server.of("scheduler")[0]
    os.kill(victim.pid, signal.SIGKILL)
    process = server.replaced("scheduler", victim.pid)[0]
    assert (process.epoch, process.restarts) == (2, 1)
    assert server.last("frontend 0", "SchedulerGone")["epoch"] == 2
    for worker in ("worker 0", "worker 1"):
        assert server.told(worker) == ["PoolReady", "LinkWorker", "LinkWorker"]
        assert server.last(worker, "LinkWorker")["epoch"] == 2
    told_new = [kind for name, epoch, kind, _ in server.notes if (name, epoch) == ("scheduler", 2)]
    assert told_new == ["StartScheduler", "ModelsReady", "AddPool", "AddWorker", "AddWorker"]


def test_no_worker_is_added_to_a_new_scheduler_before_all_have_left_the_old_one(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start("--workers", "2", worker_1=f"no_relink@{switch}")
    server.wait_ready()
    switch.touch()
    os.kill(server.of("scheduler")[0].pid, signal.SIGKILL)
    eventually(lambda: [note for note in server.notes if note[:3] == ("worker 0", 2, "LinkWorker")], "a new link")
    eventually(lambda: server.of("scheduler")[0].state == "ready", "a new scheduler")
    assert [process.state for process in server.of("worker")] == ["linked", "relinking"]
    assert not server.status().ready
    os.kill(server.of("worker")[1].pid, signal.SIGKILL)
    eventually(lambda: server.of("worker")[0].state == "ready", "the other worker is added")


def test_a_dead_frontend_is_replaced_on_the_same_socket(start: Start) -> None:
    server = start()
    port = server.port_of(server.wait_ready())
    victim = server.of("frontend")[0]
    os.kill(victim.pid, signal.SIGKILL)
    assert accepts_connections(port)
    process = server.replaced("frontend", victim.pid)[0]
    assert (process.epoch, process.restarts) == (2, 1)
    gone = server.last("scheduler", "FrontendGone")
    assert (gone["frontend_id"], gone["epoch"]) == (0, 1)
    assert server.last("frontend 0", "Readiness")["ready"]


def test_a_worker_that_dies_again_and_again_is_given_up_until_the_operator_tries_again(
    start: Start, tmp_path: Path
) -> None:
    switch = tmp_path / "switch"
    server = start(worker=f"die@{switch}")
    server.wait_ready()
    switch.touch()
    os.kill(server.of("worker")[0].pid, signal.SIGKILL)
    eventually(lambda: server.of("worker")[0].state == "failed", "a worker that is given up")
    assert "'zerolane scale --workers N' tries again" in server.errors
    eventually(lambda: server.last("scheduler", "WorkerGone")["will_return"] is False, "the scheduler is told")
    assert server.last("frontend 0", "Readiness")["reason"] == "no worker could be kept running"
    switch.unlink()
    assert isinstance(server.scale(1), Scaled)
    assert server.last("frontend 0", "Readiness")["ready"]


def test_a_scheduler_that_dies_again_and_again_ends_the_server(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(scheduler=f"die@{switch}")
    server.wait_ready()
    switch.touch()
    os.kill(server.of("scheduler")[0].pid, signal.SIGKILL)
    assert server.wait() == 1
    assert "giving up: scheduler ended 5 times" in server.errors


def test_a_child_that_sends_nonsense_is_replaced(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(worker=f"nonsense@{switch}")
    server.wait_ready()
    switch.touch()
    victim = server.of("worker")[0]
    os.kill(server.of("scheduler")[0].pid, signal.SIGKILL)  # the worker gets a new link, and answers with nonsense
    eventually(lambda: "sends nonsense" in server.errors, "nonsense was seen")
    switch.unlink()
    server.replaced("worker", victim.pid)


def test_deaths_cost_the_supervisor_no_descriptor(start: Start) -> None:
    server = start("--workers", "2")
    server.wait_ready()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    def kill_one_of_each() -> None:
        for role in ("worker", "scheduler", "frontend"):
            victim = server.of(role)[0]
            os.kill(victim.pid, signal.SIGKILL)
            server.replaced(role, victim.pid)

    kill_one_of_each()
    before = descriptors()
    kill_one_of_each()
    eventually(lambda: descriptors() <= before, f"{before} descriptors again, not {descriptors()}")
