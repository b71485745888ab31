"""Workers that come and go because an operator wants it: one more, a spare put to work, one taken away."""

from ipc.control_messages import DrainWorker, UseSpare
from zerolane.children import Role
from zerolane.house import House
from zerolane.lifecycle import LEAVE_S, stop
from zerolane.operator_job import CannotGoOn
from zerolane.seats import MAX_WORKERS, WITHOUT_PROCESS, Phases, Seat, SeatState

DRAIN_S = 60.0  # the longest a worker may need for the steps it has; then it is killed, which costs no request either
TAKE_AWAY_S = DRAIN_S + 4 * LEAVE_S  # by then it is gone for certain
_LEAVING = (SeatState.DRAINING, SeatState.STOPPING, SeatState.GONE)


def stays(seat: Seat) -> bool:
    """It is not on its way out. A worker that drains to change its pool stays."""
    return seat.is_moving or seat.state not in _LEAVING


def add_worker(house: House, pool: int | None, phases: Phases = "both") -> Seat:
    """One more worker of `pool`; None: one more spare. Raises CannotGoOn when no id is free."""
    if len(house.seats.of(Role.WORKER)) >= MAX_WORKERS:
        raise CannotGoOn(f"There are {MAX_WORKERS} workers and spares already, and no more are possible.")
    seat = house.add_worker_seat(is_spare=pool is None)
    seat.phases = phases
    if pool is not None:
        seat.pool = pool
    house.spawn(seat)  # asks the fork server: nothing that can fail here
    return seat


def start_again(house: House, seat: Seat) -> None:
    """A seat that was given up gets a new process, and all tries."""
    seat.num_short_lives = 0
    house.spawn(seat)


def put_to_work(house: House, spare: Seat, pool: int, phases: Phases = "both") -> None:
    """A spare that is ready takes steps from now on."""
    spare.pool, spare.phases, spare.is_spare = pool, phases, False
    if house.scheduler_in_service is not None:
        house.scheduler_in_service.send(UseSpare(spare.id, pool, phases))


def take_away(house: House, seat: Seat) -> None:
    """It leaves when its steps are done; its seat is removed then. Gone after TAKE_AWAY_S."""
    seat.is_moving = False
    if seat.state in WITHOUT_PROCESS:
        seat.set_timer(None)
        house.seats.remove(seat)
    elif seat.state is SeatState.READY and house.scheduler_in_service is not None:
        seat.state = SeatState.DRAINING
        seat.set_timer(house.loop.call_later(DRAIN_S, lambda: house.kill(seat, "did not finish its steps")))
        house.scheduler_in_service.send(DrainWorker(seat.id))
    elif seat.state is not SeatState.DRAINING:
        stop(house, seat)


def ready(seats: list[Seat]) -> list[Seat]:
    """Those of them that serve, or as spares could at once."""
    return [seat for seat in seats if seat.state is SeatState.READY]


def failed(seats: list[Seat]) -> list[Seat]:
    """Those of them that were given up."""
    return [seat for seat in seats if seat.state is SeatState.FAILED]


def check_none_failed(seats: list[Seat]) -> None:
    """Raises CannotGoOn that says why one of them could not be kept running."""
    for seat in failed(seats):
        reason = seat.last_words.message if seat.last_words else "see the server's log"
        raise CannotGoOn(f"{seat.name} could not be kept running: {reason}.")
