"""A spare takes the place of a worker that dies, and the dead one's seat becomes the spare's."""

import os
import signal

from ipc.operator_protocol import ProcessStatus
from tests.process.supervisor.conftest import StandInServed, Start
from tests.support.served import eventually


def kill(*processes: ProcessStatus) -> None:
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)


def wait_complete(server: StandInServed, gone: list[ProcessStatus]) -> None:
    """Until a worker and a spare serve that are none of `gone`, whose ends may not have been noticed yet."""

    def is_complete() -> bool:
        found = [*server.of("worker"), *server.of("spare")]
        is_new = not {process.pid for process in found} & {process.pid for process in gone}
        return is_new and [process.state for process in found] == ["ready", "ready"] and server.status().ready

    eventually(is_complete, "a worker and a spare again")


def added(server: StandInServed) -> list[tuple[int, int, bool]]:
    """(worker, epoch, is spare) of every AddWorker."""
    records = [record for _, _, kind, record in server.notes if kind == "AddWorker"]
    return [(record["worker_id"], record["epoch"], record["is_spare"]) for record in records]


def test_a_spare_waits_complete(start: Start) -> None:
    server = start("--spares", "1")
    server.wait_ready()
    assert sorted(added(server)) == [(0, 1, False), (1, 1, True)]
    assert [process.id for process in server.of("spare")] == [1]
    assert server.told("worker 1") == ["PoolReady", "LinkWorker"]


def test_it_is_the_heir_of_a_worker_that_dies(start: Start) -> None:
    server = start("--spares", "1", "--pools", "2", "--workers", "2")
    server.wait_ready()
    victim = server.of("worker")[1]
    kill(victim)
    eventually(lambda: [(seat.id, seat.state) for seat in server.of("spare")] == [(1, "ready")], "a new spare")
    gone = server.last("scheduler", "WorkerGone")
    assert (gone["worker_id"], gone["heir"], gone["will_return"], gone["was_asked"]) == (1, 2, True, False)
    assert [process.id for process in server.of("worker")] == [0, 2]
    assert [process.id for process in server.of("spare")] == [1]
    assert added(server)[-1] == (1, 2, True)
    kill(server.of("worker")[1])
    eventually(lambda: server.last("scheduler", "WorkerGone")["worker_id"] == 2, "the heir's death is told")
    assert server.last("scheduler", "WorkerGone")["heir"] == 1


def test_a_spare_that_dies_is_replaced(start: Start) -> None:
    server = start("--spares", "1")
    server.wait_ready()
    victim = server.of("spare")[0]
    kill(victim)
    server.replaced("spare", victim.pid)
    gone = server.last("scheduler", "WorkerGone")
    assert (gone["worker_id"], gone["heir"]) == (1, -1)
    assert added(server)[-1] == (1, 2, True)


def test_whoever_comes_first_works_when_worker_and_spare_die_together(start: Start) -> None:
    server = start("--spares", "1")
    server.wait_ready()
    victims = [*server.of("worker"), *server.of("spare")]
    kill(*victims)
    wait_complete(server, victims)


def test_deaths_one_after_the_other_close_no_seat(start: Start) -> None:
    """As when one request kills every worker it comes to."""
    server = start("--spares", "1")
    server.wait_ready()
    for _ in range(7):
        [victim] = server.of("worker")
        kill(victim)
        server.replaced("worker", victim.pid)
        wait_complete(server, [victim])
    assert "not started again" not in server.errors


def test_the_scheduler_has_a_worker_killed(start: Start) -> None:
    server = start(scheduler="kill_worker")  # it wants the second one killed: the server serves by then
    server.wait_ready()
    kill(*server.of("worker"))
    eventually(lambda: "killing worker 0: it was past its deadline" in server.errors, "the worker is killed")
    eventually(lambda: added(server)[-1] == (0, 3, False), "a new worker")
