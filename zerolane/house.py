"""Everything the supervisor knows about its running server, in one place; and how a seat gets a process.

Owned by the one loop. `lifecycle.py`, `recovery.py`, `scaling.py` and `shutdown.py` say what changes it when.
"""

import logging
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from ipc.config import BatchHeights, ModelSpec, ServeConfig
from ipc.control_messages import Fatal, StartForkServer, StartFrontend, StartKeeper, StartLoader, StartScheduler
from ipc.device_memory.leases import Leases
from ipc.doorbell import Doorbell
from ipc.fake_card import FAKE_SOURCES
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard
from zerolane.child_configs import fork_server_config, frontend_config, keeper_config, loader_config, scheduler_config
from zerolane.children import Child, Command, Role, start_child
from zerolane.fork_requests import ForkRequests
from zerolane.memory import Memory
from zerolane.poll_loop import PollLoop
from zerolane.pools import Pools
from zerolane.progress_bar import ProgressBar
from zerolane.seats import NUM_METRICS_SLOTS, Seat, Seats, SeatState

log = logging.getLogger("zerolane.supervisor.house")


class Phase(Enum):
    STARTING = 1  # a death ends the start
    SERVING = 2  # a death is repaired
    DRAINING = 3  # open requests are finished; workers and scheduler are still repaired
    STOPPING = 4  # every death is welcome


class Reaction(Protocol):
    """What is called when something happens to a seat."""

    def __call__(self, house: "House", seat: Seat) -> None: ...


@dataclass(frozen=True)
class Reactions:
    """The things a child does by itself: it says something, it ends, or it is not born at all."""

    on_link: Reaction
    on_exit: Reaction
    on_not_born: Reaction


class House:
    """The state of one server. Made complete before the first process starts; `close` lets go of everything."""

    def __init__(
        self,
        config: ServeConfig,
        specs: Sequence[ModelSpec],
        command: Command,
        reactions: Reactions,
        settle: Callable[["House"], None],
    ) -> None:
        self.config = config
        self.specs = list(specs)
        self.phase = Phase.STARTING
        self.started_at = time.monotonic()
        self.loop = PollLoop(after_events=lambda: settle(self))
        self.seats = Seats()
        self.forks = ForkRequests()
        self.pools = Pools(config.pools)
        self.gpu_pools: dict[int, Leases] = {}  # of those pools that lie on a GPU; see `gpu_pools.py`
        self.cards: list[ModelCard] = []  # complete as soon as there are any
        self.batch_heights: dict[int, BatchHeights] = {}  # by threads: what the first such worker found out
        self.inspected: list[ModelCard] | None = None  # what the loader said, its own models only
        self.loaded: list[ModelCard] | None = None
        self.progress_bar = ProgressBar(sys.stderr)
        self.runtime_dir = Path()
        self.url = ""
        self.listener: socket.socket | None = None
        self.scheduler_doorbell = Doorbell.create()
        self.metrics = MetricsPage.create([spec.name for spec in specs], NUM_METRICS_SLOTS)
        self._memory: Memory | None = None
        self._command = command
        self._reactions = reactions

    @property
    def memory(self) -> Memory:
        if self._memory is None:
            raise RuntimeError("memory is used before it was taken")
        return self._memory

    def take_memory(self) -> None:
        """The step arena now, the rest as models become known. Raises StartupError."""
        self._memory = Memory(self.config)

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self.started_at

    @property
    def real_specs(self) -> list[ModelSpec]:
        """Models that have files, so need the loader."""
        return [spec for spec in self.specs if spec.source not in FAKE_SOURCES]

    @property
    def scheduler_in_service(self) -> Child | None:
        """The scheduler's process, once it knows the models; what happens before it learns from its first messages."""
        seat = self.seats.scheduler
        return seat.child if seat.state is SeatState.READY else None

    def add_worker_seat(self, is_spare: bool = False) -> Seat:
        """One more seat, without a process, in the pool whose turn it is."""
        seat = self.seats.add(Role.WORKER, self.seats.free_worker_id())
        seat.pool, seat.is_spare = self.pools.of_worker(seat.id), is_spare
        return seat

    def spawn(self, seat: Seat) -> None:
        """A new process for an empty seat, which is told what it is; a worker's is made as soon as the fork server can.

        It has `startup_timeout` to serve. Raises OSError when the system has no process left.
        """
        seat.begin_life()
        if seat.role is Role.WORKER:
            self._wake_fork_server()
        else:
            child = start_child(self._command, seat.role)
            self.seat_child(seat, child)
            self._say_start(seat, child)
        if self.phase is not Phase.STARTING:
            seat.set_timer(self.loop.call_later(self.config.startup_timeout, lambda: self._too_late(seat)))

    def seat_child(self, seat: Seat, child: Child) -> None:
        """The seat has a process now."""
        seat.child, seat.state = child, SeatState.STARTING
        self.loop.watch(child.link.fileno(), lambda: self._reactions.on_link(self, seat))
        self.loop.watch(child.pidfd, lambda: self._reactions.on_exit(self, seat))
        log.debug("started", extra={"fields": {"process": seat.name, "pid": child.pid, "epoch": seat.epoch}})

    def not_born(self, seat: Seat, reason: str) -> None:
        """A worker that was asked for does not come: as if it had died at once."""
        log.error(f"{seat.name} could not be made: {reason}")
        seat.last_words = Fatal(reason)
        self._reactions.on_not_born(self, seat)

    def kill(self, seat: Seat, reason: str) -> None:
        """SIGKILL what sits there; its end is then handled like any other."""
        if seat.child is not None:
            log.warning(f"killing {seat.name}: it {reason}", extra={"fields": {"pid": seat.child.pid}})
            seat.child.kill()

    def close(self) -> None:
        self.loop.close()
        self.forks.forget_all()
        if self.listener is not None:
            self.listener.close()
        if self._memory is not None:
            self._memory.close()
        for seat in self.seats:
            seat.drop_link()
        self.scheduler_doorbell.close()
        self.metrics.close()

    def _wake_fork_server(self) -> None:
        """Who wants a worker now wants one that was given up to be tried again."""
        fork_server = self.seats.fork_server
        if fork_server.state is not SeatState.FAILED:
            return
        fork_server.num_short_lives = 0
        try:
            self.spawn(fork_server)
        except OSError as error:  # who waits for it is told that it is not born
            fork_server.state = SeatState.FAILED
            log.error(f"cannot start {fork_server.name}", extra={"fields": {"error": str(error)}})

    def _too_late(self, seat: Seat) -> None:
        if seat.child is None:
            self.not_born(seat, f"there was no process within {self.config.startup_timeout:g} s")
        else:
            self.kill(seat, "did not get ready")

    def _say_start(self, seat: Seat, child: Child) -> None:
        """To whom we start ourselves; a worker learns it from `births.py`."""
        config, metrics = self.config, self.metrics.segment.fd
        match seat.role:
            case Role.FRONTEND:
                listener = self.listener.fileno() if self.listener else -1
                child.send(StartFrontend(frontend_config(config, seat, self.runtime_dir)), [listener, metrics])
            case Role.SCHEDULER:
                fds = [self.memory.arena.fd, self.scheduler_doorbell.fileno(), metrics]
                child.send(StartScheduler(scheduler_config(config, seat, self.runtime_dir)), fds)
            case Role.KEEPER:
                child.send(StartKeeper(keeper_config(config, seat, self.cards)))
            case Role.FORKSERVER:
                child.send(StartForkServer(fork_server_config(config, self.specs)))
            case Role.LOADER:
                child.send(StartLoader(loader_config(config, self.real_specs)))
