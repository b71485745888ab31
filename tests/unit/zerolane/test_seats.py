"""Seats: their names, their lives, and what a spare takes over."""

import pytest

from zerolane.children import Role
from zerolane.seats import Seat, Seats, SeatState


@pytest.mark.parametrize(
    ("seat", "name"),
    [(Seat(Role.WORKER, 2), "worker 2"), (Seat(Role.SCHEDULER), "scheduler"), (Seat(Role.FORKSERVER), "fork server")],
)
def test_names(seat: Seat, name: str) -> None:
    assert seat.name == name


def test_an_epoch_never_comes_twice() -> None:
    seats = Seats()
    seat = seats.add(Role.WORKER, 3)
    seat.begin_life()
    seat.begin_life()
    seats.remove(seat)
    assert seats.add(Role.WORKER, 3).epoch == 2


def test_a_new_life_knows_nothing_of_the_last_one() -> None:
    seat = Seat(Role.WORKER)
    seat.serves()
    seat.is_added, seat.is_moving, seat.unanswered_since = True, True, 1.0
    seat.begin_life()
    assert seat.state is SeatState.WAITING
    assert seat.ready_at is seat.unanswered_since is None
    assert not seat.is_added
    assert not seat.is_moving


def test_a_spare_takes_place_pool_and_phases() -> None:
    worker = Seat(Role.WORKER, 0, pool=2, phases="decode")
    spare = Seat(Role.WORKER, 1, is_spare=True)
    assert spare.shown_role == "spare"
    spare.take_place_of(worker)
    assert (spare.pool, spare.phases, spare.is_spare, spare.shown_role) == (2, "decode", False, "worker")
    assert (worker.phases, worker.is_spare) == ("both", True)


def test_workers_and_spares_are_told_apart() -> None:
    seats = Seats()
    worker, spare = seats.add(Role.WORKER, 0), seats.add(Role.WORKER, 1)
    spare.is_spare = True
    assert (seats.workers, seats.spares) == ([worker], [spare])
    assert seats.free_worker_id() == 2
