"""The seats: one for each role and id the server should have. Processes come and go, a seat and its counters stay."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from ipc.control_messages import Fatal
from ipc.doorbell import Doorbell
from ipc.segments import Segment
from zerolane.children import Child, Role
from zerolane.poll_loop import Timer

MAX_FRONTENDS = 65  # 64 and the one that takes over from another in a rolling restart
MAX_WORKERS = 192  # for prefill, for decode, spares: 64 of each
# The supervisor has slot 0. Who is not here counts nothing.
_FIRST_SLOT = {Role.SCHEDULER: 1, Role.FRONTEND: 2, Role.WORKER: 2 + MAX_FRONTENDS}
NUM_METRICS_SLOTS = 2 + MAX_FRONTENDS + MAX_WORKERS


class SeatState(StrEnum):
    """Where the process of a seat is in its life. Workers pass all stages; the others have no link."""

    WAITING = "waiting"  # worker: no process; the fork server is to make one
    STARTING = "starting"  # started, has not said Ready
    UP = "up"  # said Ready; a worker has mapped and tried all models, a frontend still lacks its models
    PREPARING = "preparing"  # frontend: was told the models, has not said Ready again
    LINKING = "linking"  # worker: was sent its first link
    RELINKING = "relinking"  # worker: was sent a new scheduler's link, may still run a step of the dead one's
    LINKED = "linked"  # worker: uses the link, the scheduler does not know it yet
    READY = "ready"  # serves
    DRAINING = "draining"  # finishes what it has, gets nothing new
    DRAINED = "drained"
    STOPPING = "stopping"  # was told to leave
    RESTARTING = "restarting"  # no process; the next one starts after a pause
    FAILED = "failed"  # no process; it died too often to try again
    GONE = "gone"  # no process, and none is wanted


WITHOUT_PROCESS = (SeatState.WAITING, SeatState.RESTARTING, SeatState.FAILED, SeatState.GONE)


Phases = Literal["both", "prefill", "decode"]


@dataclass
class LinkEnds:
    """What scheduler and worker share; kept until the scheduler was told, so that it can be."""

    segment: Segment
    doorbell: Doorbell

    def close(self) -> None:
        self.segment.close()
        self.doorbell.close()


@dataclass
class Seat:
    """One role and id. `epoch` counts its lives, and for a worker also its links: both fence off what was before."""

    role: Role
    id: int = 0
    epoch: int = 0
    state: SeatState = SeatState.GONE
    child: Child | None = None
    ready_at: float | None = None  # when this life first served
    num_threads: int = 0  # a worker's, of this life
    knows_models: bool = False  # this life was sent ModelsReady
    told_readiness: str | None = None  # what this life of a frontend was last told is missing; "": nothing
    unanswered_since: float | None = None  # when the first Ping was sent that it has not answered
    last_words: Fatal | None = None
    is_replaced: bool = False  # this life is ended by us, to have a fresh one in its place
    num_restarts: int = 0
    num_short_lives: int = 0  # in a row
    timer: Timer | None = None  # the one deadline or pause that is running
    link: LinkEnds | None = field(default=None, repr=False)
    # of a worker's seat:
    pool: int = 0  # whose KV pages its steps use
    phases: Phases = "both"
    is_spare: bool = False  # it waits, warm, to take the place of one that dies
    is_added: bool = False  # the scheduler knows this life, and has not let go of it
    is_moving: bool = False  # it drains to be linked again as a worker of another pool, not to leave

    @property
    def name(self) -> str:
        match self.role:
            case Role.SCHEDULER | Role.LOADER:
                return self.role.value
            case Role.FORKSERVER:
                return "fork server"
            case _:
                return f"{self.role.value} {self.id}"

    @property
    def shown_role(self) -> str:
        """Its role for operators and metrics, where a spare is one of its own."""
        return "spare" if self.is_spare else self.role.value

    @property
    def has_metrics(self) -> bool:
        return self.role in _FIRST_SLOT

    @property
    def metrics_slot(self) -> int:
        return _FIRST_SLOT[self.role] + self.id

    @property
    def served_s(self) -> float:
        """Seconds since this life first served; 0 if it never did."""
        return time.monotonic() - self.ready_at if self.ready_at is not None else 0.0

    def begin_life(self) -> None:
        """Nothing is known of the next process yet."""
        self.epoch += 1
        self.state = SeatState.WAITING
        self.ready_at, self.knows_models, self.last_words, self.told_readiness = None, False, None, None
        self.unanswered_since, self.is_added, self.is_moving, self.is_replaced = None, False, False, False

    def serves(self) -> None:
        """It has come into service: no deadline any more."""
        self.state = SeatState.READY
        self.ready_at = time.monotonic()
        self.set_timer(None)

    def take_place_of(self, other: "Seat") -> None:
        """This spare is a worker from now on, where `other` was; that seat's next process is a spare."""
        self.pool, self.phases, self.is_spare = other.pool, other.phases, False
        other.phases, other.is_spare = "both", True

    def set_timer(self, timer: Timer | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = timer

    def drop_link(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None


class Seats:
    """All seats, by role and id."""

    def __init__(self) -> None:
        self._seats: dict[tuple[Role, int], Seat] = {}
        self._last_epochs: dict[tuple[Role, int], int] = {}  # of removed seats: an epoch never comes twice

    def __iter__(self) -> Iterator[Seat]:
        return iter(sorted(self._seats.values(), key=lambda seat: (list(Role).index(seat.role), seat.id)))

    def add(self, role: Role, seat_id: int = 0) -> Seat:
        seat = self._seats[role, seat_id] = Seat(role, seat_id, self._last_epochs.get((role, seat_id), 0))
        return seat

    def remove(self, seat: Seat) -> None:
        self._last_epochs[seat.role, seat.id] = seat.epoch
        del self._seats[seat.role, seat.id]

    def of(self, role: Role) -> list[Seat]:
        """By rising id."""
        return [seat for seat in self if seat.role is role]

    @property
    def scheduler(self) -> Seat:
        return self._seats[Role.SCHEDULER, 0]

    @property
    def fork_server(self) -> Seat:
        return self._seats[Role.FORKSERVER, 0]

    @property
    def workers(self) -> list[Seat]:
        """Those that take steps or shall, by rising id."""
        return [seat for seat in self.of(Role.WORKER) if not seat.is_spare]

    @property
    def spares(self) -> list[Seat]:
        return [seat for seat in self.of(Role.WORKER) if seat.is_spare]

    @property
    def alive(self) -> list[Seat]:
        """Those with a process."""
        return [seat for seat in self if seat.child is not None]

    def free_worker_id(self) -> int:
        """The lowest id no worker has."""
        return next(i for i in range(MAX_WORKERS) if (Role.WORKER, i) not in self._seats)
