"""Who is told what when a process ends, and who returns. The processes here are names only."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import Struct

from ipc.config import ModelSpec, ServeConfig
from ipc.control_messages import UseSpare, WorkerGone
from zerolane.children import Child, Role
from zerolane.house import House, Phase, Reactions
from zerolane.poll_loop import Timer
from zerolane.recovery import MAX_SHORT_LIVES, on_exit
from zerolane.seats import Seat, Seats, SeatState


class EndedChild:
    """A process that has ended with exit code 0 and said nothing more."""

    pidfd = 0
    link = SimpleNamespace(fileno=lambda: 0)

    def __init__(self) -> None:
        self.told: list[Struct] = []

    def received(self) -> tuple[list[Struct], bool]:
        return [], False

    def reap(self) -> int:
        return 0

    def send(self, record: Struct) -> None:
        self.told.append(record)


class ServingHouse:
    """A scheduler, a frontend, two workers and a spare, all in service."""

    def __init__(self) -> None:
        self.seats = Seats()
        self.scheduler = EndedChild()
        self.phase = Phase.SERVING
        self.gpu_pools: dict[int, Any] = {}
        self.spawned: list[str] = []
        self.later: list[Timer] = []
        counter = SimpleNamespace(add=lambda: None)
        writer = SimpleNamespace(reset_gauges=lambda: None, counter=lambda *names: counter)
        self.metrics = SimpleNamespace(writer=lambda slot: writer)
        self.loop = SimpleNamespace(unwatch=lambda fd: None, call_later=self._call_later)
        self.forks = SimpleNamespace(forget_all=lambda: None)
        for role, number in ((Role.SCHEDULER, 1), (Role.FRONTEND, 1), (Role.FORKSERVER, 1), (Role.WORKER, 3)):
            for i in range(number):
                seat = self.seats.add(role, i)
                seat.begin_life()
                seat.child = cast(Child, self.scheduler if role is Role.SCHEDULER else EndedChild())
                seat.is_added = role is Role.WORKER
                seat.serves()
        self.spare = self.seats.of(Role.WORKER)[2]
        self.spare.is_spare = True

    @property
    def scheduler_in_service(self) -> EndedChild:
        return self.scheduler

    def spawn(self, seat: Seat) -> None:
        self.spawned.append(seat.name)
        seat.begin_life()

    def end(self, seat: Seat) -> None:
        on_exit(cast(House, self), seat)

    def _call_later(self, delay_s: float, callback: Any) -> Timer:
        self.later.append(Timer(callback))
        return self.later[-1]


@pytest.fixture
def house() -> ServingHouse:
    return ServingHouse()


def test_a_spare_is_the_heir_of_a_worker(house: ServingHouse) -> None:
    worker = house.seats.workers[0]
    house.end(worker)
    assert house.scheduler.told == [WorkerGone(0, 1, will_return=True, heir=2)]
    assert (house.spare.is_spare, worker.is_spare) == (False, True)


def test_the_heir_of_a_worker_on_its_way_to_another_pool_goes_there(house: ServingHouse) -> None:
    """The scheduler still has it in the old one, whose place an heir would take."""
    worker = house.seats.workers[0]
    worker.state, worker.is_moving, worker.pool = SeatState.DRAINING, True, 1
    house.end(worker)
    assert house.scheduler.told == [WorkerGone(0, 1, will_return=True), UseSpare(2, 1)]
    assert (house.spare.is_spare, house.spare.pool) == (False, 1)


def test_a_worker_on_its_way_to_another_pool_is_still_coming(house: ServingHouse) -> None:
    dying, moving = house.seats.workers
    house.seats.remove(house.spare)
    moving.state, moving.is_moving = SeatState.DRAINING, True
    dying.state, dying.num_short_lives = SeatState.STARTING, MAX_SHORT_LIVES - 1
    house.end(dying)
    assert dying.state is SeatState.FAILED
    assert house.scheduler.told == [WorkerGone(0, 1, will_return=True)]


def test_a_life_we_end_ourselves_is_not_too_short(house: ServingHouse) -> None:
    """Or one rolling restart after the other would give the fork server up."""
    seat = house.seats.fork_server
    for _ in range(MAX_SHORT_LIVES):
        seat.is_replaced = True
        house.end(seat)
        seat.child = cast(Child, EndedChild())
        seat.serves()
    assert house.spawned == [seat.name] * MAX_SHORT_LIVES


def test_a_frontend_whose_pause_ends_while_the_server_drains_does_not_return(house: ServingHouse) -> None:
    """There is no socket any more that it could listen on."""
    frontend = house.seats.of(Role.FRONTEND)[0]
    frontend.num_short_lives = 1
    house.end(frontend)
    assert (frontend.state, house.spawned) == (SeatState.RESTARTING, [])
    house.phase = Phase.DRAINING
    house.later[-1].fire()
    assert house.spawned == []
    assert frontend.child is None


def test_a_fork_server_that_cannot_be_started_again_stays_given_up() -> None:
    """And whoever asked for a worker goes on: there is an answer for it, that it is not born."""

    def nothing(house: House, seat: Seat) -> None: ...

    real = House(
        ServeConfig(),
        [ModelSpec("chat", "fake:generate")],
        lambda role, control_fd: ["/nowhere/no-such-program"],
        Reactions(nothing, nothing, nothing),
        lambda house: None,
    )
    real.phase = Phase.SERVING
    fork_server, worker = real.seats.add(Role.FORKSERVER), real.seats.add(Role.WORKER)
    fork_server.state = SeatState.FAILED
    real.spawn(worker)
    assert (fork_server.state, worker.state) == (SeatState.FAILED, SeatState.WAITING)
    worker.set_timer(None)
    real.close()
