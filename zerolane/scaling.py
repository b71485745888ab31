"""Adding and removing workers while the server runs: a new one maps memory that is there, an old one drains first."""

import logging
import time
from collections.abc import Callable

from ipc.control_messages import DrainWorker
from zerolane.children import Role
from zerolane.house import House
from zerolane.lifecycle import stop
from zerolane.operator_protocol import Refused, Scaled, ScaleProgress
from zerolane.seats import WITHOUT_PROCESS, Seat, SeatState

DRAIN_S = 60.0  # the longest a worker may need for the steps it has; then it is killed, which costs no request either

log = logging.getLogger("zerolane.supervisor.scaling")

Say = Callable[[ScaleProgress | Scaled | Refused], None]


class ScaleJob:
    """One scale command. `settle` looks after every batch of events whether it is done; then `is_done` is True.

    Workers that were given up are dropped first, so scaling to the same number tries them again.
    """

    def __init__(self, house: House, num_workers: int, say: Say) -> None:
        self.is_done = False
        self._house = house
        self._wanted = num_workers
        self._say = say
        self._started_at = time.monotonic()
        self._started: list[Seat] = []
        self._stopped: list[Seat] = []
        self._last_text = ""
        self._deadline = house.loop.call_later(house.config.startup_timeout + DRAIN_S, self._give_up)

    def begin(self) -> None:
        """Start what is missing, drain what is too much, highest ids first."""
        workers = self._house.seats.of(Role.WORKER)
        for seat in [seat for seat in workers if seat.state is SeatState.FAILED]:
            self._house.seats.remove(seat)
        staying = [seat for seat in self._house.seats.of(Role.WORKER) if _stays(seat)]
        for seat in reversed(staying[self._wanted :]):
            self._take_away(seat)
        for _ in range(self._wanted - len(staying)):
            if not self._add():
                return
        log.info("scaling", extra={"fields": {"workers": self._wanted, "before": len(staying)}})
        self.settle()

    def settle(self) -> None:
        """Say how far it is when that has changed, and end the job when it is done or cannot be."""
        if self.is_done:
            return
        workers = self._house.seats.of(Role.WORKER)
        if failed := [seat for seat in workers if seat.state is SeatState.FAILED]:
            reason = failed[0].last_words.message if failed[0].last_words else "see the server's log"
            self._end(Refused(f"{failed[0].name} could not be kept running: {reason}."))
            return
        ready = sum(seat.state is SeatState.READY for seat in workers)
        leaving = sum(seat in workers for seat in self._stopped)
        self._tell(f"{ready} of {self._wanted} workers serve" + (f", {leaving} are leaving" if leaving else ""))
        if ready == len(workers) == self._wanted:
            seconds = round(time.monotonic() - self._started_at, 2)
            self._end(Scaled(self._wanted, len(self._started), len(self._stopped), seconds))

    def _add(self) -> bool:
        seat = self._house.seats.add(Role.WORKER, self._house.seats.free_worker_id())
        try:
            self._house.spawn(seat)
        except OSError as error:
            self._house.seats.remove(seat)
            self._end(Refused(f"Cannot start a process: {error.strerror}.", "See the limits (ulimit -a)."))
            return False
        self._started.append(seat)
        return True

    def _take_away(self, seat: Seat) -> None:
        house, scheduler = self._house, self._house.seats.scheduler
        if seat.state in WITHOUT_PROCESS:
            seat.set_timer(None)
            house.seats.remove(seat)
        elif seat.state is SeatState.READY and scheduler.child is not None and scheduler.state is SeatState.READY:
            seat.state = SeatState.DRAINING
            seat.set_timer(house.loop.call_later(DRAIN_S, lambda: house.kill(seat, "did not finish its steps")))
            scheduler.child.send(DrainWorker(seat.id))
        else:
            stop(house, seat)
        self._stopped.append(seat)

    def _tell(self, text: str) -> None:
        if text != self._last_text:
            self._last_text = text
            self._say(ScaleProgress(text))

    def _give_up(self) -> None:
        self._end(Refused(f"Not done in time: {self._last_text}.", "The server goes on trying; see 'zerolane status'."))

    def _end(self, reply: Scaled | Refused) -> None:
        self.is_done = True
        self._deadline.cancel()
        self._say(reply)


def _stays(seat: Seat) -> bool:
    return seat.state not in (SeatState.DRAINING, SeatState.STOPPING)
