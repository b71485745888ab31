"""The order in which processes are replaced, and what is left when one of them cannot be."""

import signal
import threading
from pathlib import Path
from typing import Any

from ipc.operator_protocol import AskRollingRestart, AskScale, CommandProgress, Refused, Reply, Restarted
from tests.process.supervisor.conftest import StandInServed, Start
from tests.support.served import eventually


def restart(server: StandInServed, timeout_s: float = 30.0) -> Reply:
    *_, reply = server.replies_to(AskRollingRestart(timeout_s))
    server.status()
    return reply


def told(server: StandInServed, process: str) -> list[tuple[str, dict[str, Any]]]:
    """What the first life of a process was told; seat ids come again."""
    return [(kind, record) for name, epoch, kind, record in server.notes if (name, epoch) == (process, 1)]


def test_a_successor_is_there_before_anything_leaves(start: Start) -> None:
    server = start("--workers", "2", "--spares", "1", "--frontends", "2")
    server.wait_ready()
    before = {process.pid for process in server.status().processes}
    reply = restart(server)
    assert isinstance(reply, Restarted)
    assert (reply.fork_servers, reply.workers, reply.spares, reply.frontends, reply.schedulers) == (1, 2, 1, 2, 1)
    assert len(before & {process.pid for process in server.status().processes}) == 1  # the supervisor
    plans = [note for note in told(server, "scheduler") if note[0] in ("UseSpare", "DrainWorker")]
    assert [kind for kind, _ in plans] == ["UseSpare", "DrainWorker", "UseSpare", "DrainWorker", "DrainWorker"]
    assert [record["worker_id"] for kind, record in plans if kind == "DrainWorker"] == [0, 1, 2]
    for frontend in ("frontend 0", "frontend 1"):
        *_, drain, stop = told(server, frontend)
        assert drain == ("Drain", {"type": "drain", "refuse": False})
        assert stop[0] == "Stop"
        assert "SchedulerGone" not in [kind for kind, _ in told(server, frontend)]
    assert server.told("frontend 2").count("SchedulerGone") == 1  # the scheduler comes last
    assert {epoch for name, epoch, *_ in server.notes if name == "frontend 2"} == {2}  # it serves a ready server


def test_successors_belong_to_the_same_pools(start: Start) -> None:
    server = start("--workers", "3", "--pools", "2")
    server.wait_ready()
    assert isinstance(restart(server), Restarted)
    assert sorted(process.pool or 0 for process in server.of("worker")) == [0, 0, 1]


def test_a_worker_without_a_successor_stays(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(worker=f"fatal@{switch}")
    server.wait_ready()
    old = server.of("worker")
    switch.touch()
    reply = restart(server)
    assert isinstance(reply, Refused)
    assert reply.message == "worker 1 could not be kept running: worker 1 cannot go on."
    assert [process.pid for process in server.of("worker")] == [process.pid for process in old]
    assert server.of("spare") == []
    assert server.status().ready


def test_a_frontend_without_a_successor_stays(start: Start, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    server = start(frontend=f"die@{switch}")
    server.wait_ready()
    old = server.of("frontend")
    switch.touch()
    reply = restart(server)
    assert isinstance(reply, Refused)
    assert reply.message == "frontend 1 did not start."
    assert [(process.id, process.pid) for process in server.of("frontend")] == [(0, old[0].pid)]


def test_a_frontend_that_does_not_finish_is_killed_and_counted(start: Start) -> None:
    server = start(frontend_0="no_drain")
    server.wait_ready()
    reply = restart(server, timeout_s=0.1)
    assert isinstance(reply, Restarted)
    assert (reply.frontends, reply.frontends_killed) == (1, 1)
    assert [process.id for process in server.of("frontend")] == [1]


def test_one_command_at_a_time_and_a_signal_comes_first(start: Start) -> None:
    server = start(frontend="no_drain")
    server.wait_ready()
    replies: list[Reply] = []
    asking = threading.Thread(target=lambda: replies.extend(server.replies_to(AskRollingRestart())))
    asking.start()
    eventually(lambda: "Drain" in server.told("frontend 0"), "the first frontend is asked to leave")
    *_, second = server.replies_to(AskScale(2))
    assert isinstance(second, Refused)
    assert "under way" in second.message
    server.status()
    server.signal(signal.SIGTERM)
    asking.join(30.0)
    assert CommandProgress("frontend 0 finishes its requests") in replies
    assert isinstance(replies[-1], Refused)
    assert "being stopped" in replies[-1].message
    server.signal(signal.SIGTERM)
    assert server.wait() == 128 + signal.SIGTERM
