"""How a server ends: it finishes what is open, then every process is told to leave, then whoever stayed is killed."""

import logging
import time
from collections.abc import Sequence

from ipc.control_messages import Drain
from zerolane.children import Role
from zerolane.house import House, Phase
from zerolane.lifecycle import LEAVE_S, stop
from zerolane.seats import Seat, SeatState
from zerolane.status import open_http_requests

KILLED_S = 5.0  # the kernel needs a moment to take down a process with much memory

log = logging.getLogger("zerolane.supervisor.shutdown")


def drain(house: House, timeout_s: float | None = None) -> int:
    """Refuse new requests and wait until the open ones are done, at most `shutdown_timeout`, or `timeout_s` if given;
    how many are still open then."""
    house.phase = Phase.DRAINING
    if house.listener is not None:
        house.listener.close()
    for frontend in house.seats.of(Role.FRONTEND):
        if frontend.child is not None:
            frontend.state = SeatState.DRAINING
            frontend.child.send(Drain())
    timeout_s = house.config.shutdown_timeout if timeout_s is None else timeout_s
    log.info("finishing open requests", extra={"fields": {"timeout_s": timeout_s}})
    if house.loop.run_until(lambda: _all_drained(house), time.monotonic() + timeout_s):
        return 0
    log.warning("ending requests that are still open")
    return open_http_requests(house)


def stop_everyone(house: House) -> None:
    """Frontends first, as they have clients to tell; then the others, keepers after all who use their memory; then
    SIGKILL. Nobody is left afterwards.

    During the start there is nothing to finish, and who loads a model or a library does not listen: SIGKILL at once.
    """
    was, house.phase = house.phase, Phase.STOPPING
    if was is not Phase.STARTING:
        _stop(house, house.seats.of(Role.FRONTEND))
        _stop(house, [seat for seat in house.seats.alive if seat.role is not Role.KEEPER])
        _stop(house, house.seats.of(Role.KEEPER))
    kill_everyone(house)


def kill_everyone(house: House) -> None:
    """SIGKILL to whoever is left, and wait until they are gone."""
    house.phase = Phase.STOPPING
    for seat in house.seats.alive:
        if seat.child is not None:
            seat.child.kill()
    if not house.loop.run_until(lambda: not house.seats.alive, time.monotonic() + KILLED_S):
        names = ", ".join(seat.name for seat in house.seats.alive)
        log.error(f"killed, and still not gone: {names}")


def _stop(house: House, seats: Sequence[Seat]) -> None:
    """Each is killed by its own timer if it does not leave; one that still starts is not waited for."""
    for seat in seats:
        if seat.child is not None and seat.state is SeatState.STARTING:
            seat.child.kill()
        stop(house, seat)
    house.loop.run_until(lambda: all(seat.child is None for seat in seats), time.monotonic() + LEAVE_S + KILLED_S)


def _all_drained(house: House) -> bool:
    frontends = house.seats.of(Role.FRONTEND)
    return all(seat.child is None or seat.state is SeatState.DRAINED for seat in frontends)
