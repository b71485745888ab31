"""`zerolane restart --rolling`: every process gets a successor, one after the other, and no request is lost.

    fork server   first, so that the workers after it come from fresh code; only a worker that dies in these seconds
                  waits for it
    workers       one more spare is started and put to work before the old worker is drained: there is never one less
    spares        likewise
    frontends     the successor accepts on the same socket before the old one stops to; the old one answers what is
                  open, closes each connection after its next response, and leaves when it has none
    scheduler     last, and suddenly: two cannot share one address, and frontends, which have all streams, submit
                  again to the successor what is open. Streams pause for a moment, once

The supervisor itself stays: it holds the memory everything lives in. Its own code changes with a new server only.
"""

import logging
import time

from ipc.control_messages import Drain
from ipc.operator_protocol import Restarted
from zerolane.children import Role
from zerolane.house import House
from zerolane.lifecycle import LEAVE_S, stop
from zerolane.operator_job import CannotGoOn, Plan, PlannedJob, Say, Wait, Waits
from zerolane.readiness import missing
from zerolane.seats import MAX_FRONTENDS, Seat, SeatState
from zerolane.workforce import (
    TAKE_AWAY_S,
    add_worker,
    check_none_failed,
    failed,
    put_to_work,
    ready,
    stays,
    take_away,
)

log = logging.getLogger("zerolane.supervisor.rolling_restart")


class RollingRestart(PlannedJob):
    """One restart. A process is fresh if it was started after the command."""

    def __init__(self, house: House, timeout_s: float, say: Say) -> None:
        """`timeout_s`: the longest a frontend may take for its open requests."""
        super().__init__(house, say)
        self._timeout_s = timeout_s
        self._fresh_since = time.monotonic()
        self._frontends_killed = 0
        self._num_spares = sum(map(stays, house.seats.spares))

    def plan(self) -> Plan:
        stale = list(self._house.seats)
        yield from self._replace_by_killing(self._house.seats.fork_server)
        self._fresh_since = time.monotonic()  # a worker is as fresh as the fork server it comes from
        yield from self._replace_workers()
        yield from self._replace_spares()
        for frontend in [seat for seat in stale if seat.role is Role.FRONTEND]:
            yield from self._replace_frontend(frontend)
        yield from self._replace_by_killing(self._house.seats.scheduler)
        return Restarted(
            fork_servers=1,
            workers=sum(seat.role is Role.WORKER and not seat.is_spare for seat in stale),
            spares=self._num_spares,
            frontends=sum(seat.role is Role.FRONTEND for seat in stale),
            schedulers=1,
            frontends_killed=self._frontends_killed,
            seconds=self.seconds,
        )

    def _replace_by_killing(self, seat: Seat) -> Waits:
        """The fork server or the scheduler: the successor takes the same seat, as after any death."""
        house, old = self._house, seat.child
        log.info(f"replacing {seat.name}")
        if old is not None:
            seat.is_replaced = True
            old.kill()

        def serves() -> bool:
            return seat.child is not old and seat.state is SeatState.READY and not missing(house)

        def is_over() -> bool:
            return serves() or seat.state is SeatState.FAILED

        yield Wait(lambda: f"{seat.name} is being replaced", is_over, house.config.startup_timeout)
        if not serves():
            raise CannotGoOn(f"{seat.name} did not come back.", _advice(seat))

    def _replace_workers(self) -> Waits:
        """Until none is stale. One that dies meanwhile is replaced anyway, by a spare or by a fresh process."""
        house = self._house
        while stale := [seat for seat in house.seats.workers if self._is_stale(seat)]:
            if not self._fresh_spares():
                yield from self._start_spare()
            if stale[0] not in house.seats.workers or not self._is_stale(stale[0]):
                continue  # it died while its successor started
            put_to_work(house, self._fresh_spares()[0], stale[0].pool, stale[0].phases)
            yield from self._let_go(stale[0])

    def _replace_spares(self) -> Waits:
        """As many fresh ones as there were spares, and no other."""
        while len(self._fresh_spares()) < self._num_spares:
            yield from self._start_spare()
            if stale := [seat for seat in self._house.seats.spares if self._is_stale(seat)]:
                yield from self._let_go(stale[0])
        extra = [seat for seat in self._house.seats.spares if self._is_stale(seat)]
        for seat in extra + self._fresh_spares()[self._num_spares :]:
            yield from self._let_go(seat)

    def _start_spare(self) -> Waits:
        """One more fresh spare is ready."""
        house, before = self._house, len(self._fresh_spares())
        seats = house.seats
        seat = add_worker(house, None)

        def is_over() -> bool:
            return len(self._fresh_spares()) > before or bool(failed(seats.workers + seats.spares))

        yield Wait(lambda: f"{seat.name} starts", is_over, house.config.startup_timeout)
        if len(self._fresh_spares()) <= before:
            everybody = seats.workers + seats.spares
            self._drop_extra_spares()
            check_none_failed(everybody)
            raise CannotGoOn(f"{seat.name} did not start.", _advice(seat))

    def _drop_extra_spares(self) -> None:
        """The one that should have become a successor; those that were given up first."""
        spares = sorted(self._house.seats.spares, key=lambda seat: seat.state is SeatState.FAILED)
        for seat in spares[self._num_spares :]:
            take_away(self._house, seat)

    def _let_go(self, worker: Seat) -> Waits:
        workers = self._house.seats
        take_away(self._house, worker)
        yield Wait(lambda: f"{worker.name} leaves", lambda: worker not in workers.workers + workers.spares, TAKE_AWAY_S)

    def _replace_frontend(self, old: Seat) -> Waits:
        house = self._house
        taken = {seat.id for seat in house.seats.of(Role.FRONTEND)}
        free = next((i for i in range(MAX_FRONTENDS) if i not in taken), None)
        if free is None:
            raise CannotGoOn(f"There are {MAX_FRONTENDS} frontends, so none can be started beside them.")
        new = house.seats.add(Role.FRONTEND, free)
        new.epoch = max(new.epoch, old.epoch)  # not a first life: what comes before its models waits for them
        try:
            house.spawn(new)
        except OSError as error:
            house.seats.remove(new)
            raise CannotGoOn(f"Cannot start a process: {error.strerror}.", "See the limits (ulimit -a).") from error
        over = (SeatState.READY, SeatState.FAILED)
        yield Wait(lambda: f"{new.name} starts", lambda: new.state in over, house.config.startup_timeout)
        if new.state is not SeatState.READY:
            yield from self._dismiss(new)
            raise CannotGoOn(f"{new.name} did not start.", _advice(new))
        yield from self._let_finish(old)

    def _let_finish(self, old: Seat) -> Waits:
        """It answers what is open; who has not by the timeout is killed."""
        if old.child is not None and old.state is SeatState.READY:
            old.state = SeatState.DRAINING
            old.child.send(Drain(refuse=False))
            yield Wait(
                lambda: f"{old.name} finishes its requests",
                lambda: old.child is None or old.state is SeatState.DRAINED,
                self._timeout_s,
            )
            if old.child is not None and old.state is SeatState.DRAINING:
                self._frontends_killed += 1
        yield from self._dismiss(old)

    def _dismiss(self, frontend: Seat) -> Waits:
        """It is told to leave, or killed with what it has open; nobody takes its seat."""
        frontend.set_timer(None)
        if frontend.state is SeatState.DRAINED:
            stop(self._house, frontend)
        elif frontend.child is not None:
            frontend.state = SeatState.STOPPING
            self._house.kill(frontend, "did not finish in time")
        yield Wait(lambda: f"{frontend.name} leaves", lambda: frontend.child is None, 4 * LEAVE_S)
        if frontend.child is None:  # else the kernel cannot end it now; its seat knows it until then
            self._house.seats.remove(frontend)

    def _fresh_spares(self) -> list[Seat]:
        return [seat for seat in ready(self._house.seats.spares) if not self._is_stale(seat)]

    def _is_stale(self, seat: Seat) -> bool:
        """Its process is older than the command. A seat without one gets a fresh one."""
        return stays(seat) and seat.child is not None and seat.child.started_at < self._fresh_since


def _advice(seat: Seat) -> str:
    reason = f"{seat.last_words.message}. " if seat.last_words else ""
    return f"{reason}What was replaced stays replaced and everything serves; see the server's log."
