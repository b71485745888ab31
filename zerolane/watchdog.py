"""Looks after processes that are alive and do nothing: stopped by a signal, or not answering.

A step that hangs is the scheduler's to notice (KillWorker); here it is noticed that a process does not run at all, and
that a scheduler or a frontend does not come round in its loop any more.
"""

import itertools
import logging
import time

from ipc.control_messages import Ping
from zerolane.children import Role, reap_stray
from zerolane.house import House, Phase
from zerolane.seats import Seat, SeatState

LOOK_S = 0.25  # between two looks; who is stopped at both of them is killed
PING_S = 1.0
SILENCE_S = {Role.SCHEDULER: 10.0, Role.FRONTEND: 30.0}  # without an answer; then it is killed
OWN_PAUSE_S = 2.0  # we were stopped ourselves: what was not answered meanwhile says nothing

log = logging.getLogger("zerolane.supervisor.watchdog")


class Watchdog:
    """Runs on the house's loop from `start` to the server's end."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stopped: set[int] = set()  # pids that were stopped at the last look
        self._numbers = itertools.count(1)
        self._looked_at = self._pinged_at = time.monotonic()

    def start(self) -> None:
        """Look for the first time, and from then on every LOOK_S."""
        now, house = time.monotonic(), self._house
        if house.phase in (Phase.SERVING, Phase.DRAINING):
            if now - self._looked_at > OWN_PAUSE_S:
                self._forgive()
            self._kill_stopped()
            self._kill_silent(now)
            if now - self._pinged_at >= PING_S:
                self._pinged_at = now
                self._ping(now)
        if not house.forks:  # a process that is being born is unknown as well
            reap_stray({seat.child.pid for seat in house.seats if seat.child is not None})
        self._looked_at = now
        house.loop.call_later(LOOK_S, self.start)

    def _kill_stopped(self) -> None:
        before, self._stopped = self._stopped, set()
        for seat in self._house.seats.alive:
            if seat.child is not None and seat.child.is_stopped():
                if seat.child.pid in before:
                    self._house.kill(seat, "was stopped by a signal, and would hold up others")
                self._stopped.add(seat.child.pid)

    def _kill_silent(self, now: float) -> None:
        for seat in self._answering():
            if seat.unanswered_since is not None and now - seat.unanswered_since > SILENCE_S[seat.role]:
                self._house.kill(seat, f"has not answered for {SILENCE_S[seat.role]:g} s")
                seat.unanswered_since = None

    def _ping(self, now: float) -> None:
        number = next(self._numbers)
        for seat in self._answering():
            if seat.child is not None:
                seat.child.send(Ping(number))
                seat.unanswered_since = seat.unanswered_since or now

    def _answering(self) -> list[Seat]:
        return [seat for seat in self._house.seats if seat.role in SILENCE_S and seat.state is SeatState.READY]

    def _forgive(self) -> None:
        for seat in self._house.seats:
            seat.unanswered_since = None
