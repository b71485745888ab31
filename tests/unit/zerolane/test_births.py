"""A worker's process comes to the seat that asked for it, or to nobody."""

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Forked, ForkWorker, ToChild
from zerolane.births import ask_for_workers, on_forked
from zerolane.children import Child, Role
from zerolane.fork_requests import ForkRequests
from zerolane.house import House
from zerolane.seats import Seat, Seats, SeatState


class ForkServerEnd:
    """Stands for the fork server's process: keeps what it is told, and the workers' ends of their links."""

    def __init__(self) -> None:
        self.asked: list[ForkWorker] = []
        self.links: list[ControlLink[ToChild]] = []

    def send(self, record: ForkWorker, fds: list[int]) -> None:
        self.asked.append(record)
        self.links.append(ControlLink.of_child(os.dup(fds[0])))


class WaitingHouse:
    """A fork server in service and one worker's seat that waits."""

    def __init__(self) -> None:
        self.server = ForkServerEnd()
        self.seats, self.forks = Seats(), ForkRequests()
        self.fork_server, self.worker = self.seats.add(Role.FORKSERVER), self.seats.add(Role.WORKER)
        self.fork_server.child = cast(Child, self.server)
        self.fork_server.serves()
        self.worker.begin_life()
        self.not_born: list[tuple[Seat, str]] = []
        fields: dict[str, Any] = {
            "seats": self.seats,
            "forks": self.forks,
            "gpu_pools": {},
            "loop": SimpleNamespace(call_later=lambda delay_s, callback: None),
            "not_born": lambda seat, reason: self.not_born.append((seat, reason)),
        }
        self.house = cast(House, SimpleNamespace(**fields))

    def worker_sees_the_end(self) -> bool:
        """Whoever was born with the last link that was made is alone."""
        try:
            self.server.links[-1].receive(0.0)
        except LinkClosed:
            return True
        return False

    def close(self) -> None:
        self.forks.forget_all()
        for link in self.server.links:
            link.close()


@pytest.fixture
def waiting() -> Iterator[WaitingHouse]:
    house = WaitingHouse()
    yield house
    house.close()


def test_each_life_is_asked_for_once(waiting: WaitingHouse) -> None:
    ask_for_workers(waiting.house)
    ask_for_workers(waiting.house)
    assert waiting.server.asked == [ForkWorker(0, 1)]
    waiting.worker.begin_life()
    ask_for_workers(waiting.house)
    assert waiting.server.asked[1:] == [ForkWorker(0, 2)]


def test_nobody_is_asked_before_the_fork_server_serves(waiting: WaitingHouse) -> None:
    waiting.fork_server.state = SeatState.STARTING
    ask_for_workers(waiting.house)
    assert waiting.server.asked == []


def test_after_the_fork_servers_death_it_is_asked_again(waiting: WaitingHouse) -> None:
    ask_for_workers(waiting.house)
    waiting.forks.forget_all()
    assert waiting.worker_sees_the_end()
    ask_for_workers(waiting.house)
    assert waiting.server.asked == [ForkWorker(0, 1)] * 2


def test_a_worker_nobody_wants_any_more_sees_the_end_of_its_link(waiting: WaitingHouse) -> None:
    ask_for_workers(waiting.house)
    waiting.seats.remove(waiting.worker)
    on_forked(waiting.house, Forked(0, 1, os.getpid()))
    assert waiting.worker_sees_the_end()
    assert not waiting.forks


def test_an_answer_nobody_waits_for_changes_nothing(waiting: WaitingHouse) -> None:
    on_forked(waiting.house, Forked(0, 1, os.getpid()))
    assert waiting.worker.state is SeatState.WAITING


@pytest.mark.parametrize(("pid", "reason"), [(0, "no memory"), (os.getpid(), "No child processes")])
def test_what_cannot_be_made_or_is_no_child_of_ours_is_not_born(waiting: WaitingHouse, pid: int, reason: str) -> None:
    ask_for_workers(waiting.house)
    on_forked(waiting.house, Forked(0, 1, pid, "no memory"))
    [(seat, said)] = waiting.not_born
    assert seat is waiting.worker
    assert reason in said
    assert waiting.worker_sees_the_end()


def test_without_a_fork_server_nobody_is_born(waiting: WaitingHouse) -> None:
    waiting.fork_server.state = SeatState.FAILED
    ask_for_workers(waiting.house)
    assert waiting.not_born == [(waiting.worker, "the fork server could not be kept running")]
