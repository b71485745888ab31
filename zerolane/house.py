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

from ipc.config import ModelSpec, ServeConfig
from ipc.control_messages import StartFrontend, StartLoader, StartScheduler, StartWorker
from ipc.doorbell import Doorbell
from ipc.fake_card import FAKE_SOURCES
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard
from zerolane.child_configs import frontend_config, loader_config, scheduler_config, worker_config
from zerolane.children import Child, Command, Role
from zerolane.memory import Memory
from zerolane.poll_loop import PollLoop
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
    """The two things a child does by itself: it says something, and it ends."""

    on_link: Reaction
    on_exit: Reaction


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
        self.cards: list[ModelCard] = []  # complete as soon as there are any
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

    def spawn(self, seat: Seat) -> None:
        """Start a process in an empty seat and tell it what it is. It has `startup_timeout` to serve."""
        seat.epoch += 1
        seat.state = SeatState.STARTING
        seat.ready_at, seat.knows_models, seat.last_words, seat.told_readiness = None, False, None, None
        child = seat.child = Child(self._command, seat.role)
        self.loop.watch(child.link.fileno(), lambda: self._reactions.on_link(self, seat))
        self.loop.watch(child.pidfd, lambda: self._reactions.on_exit(self, seat))
        self._say_start(seat, child)
        if self.phase is not Phase.STARTING:
            seat.set_timer(
                self.loop.call_later(self.config.startup_timeout, lambda: self.kill(seat, "did not get ready"))
            )
        log.debug("started", extra={"fields": {"process": seat.name, "pid": child.pid, "epoch": seat.epoch}})

    def kill(self, seat: Seat, reason: str) -> None:
        """SIGKILL what sits there; its end is then handled like any other."""
        if seat.child is not None:
            log.warning(f"killing {seat.name}: it {reason}", extra={"fields": {"pid": seat.child.pid}})
            seat.child.kill()

    def close(self) -> None:
        self.loop.close()
        if self.listener is not None:
            self.listener.close()
        if self._memory is not None:
            self._memory.close()
        for seat in self.seats:
            seat.drop_link()
        self.scheduler_doorbell.close()
        self.metrics.close()

    def _say_start(self, seat: Seat, child: Child) -> None:
        config, metrics = self.config, self.metrics.segment.fd
        match seat.role:
            case Role.FRONTEND:
                listener = self.listener.fileno() if self.listener else -1
                child.send(StartFrontend(frontend_config(config, seat, self.runtime_dir)), [listener, metrics])
            case Role.SCHEDULER:
                fds = [self.memory.arena.fd, self.scheduler_doorbell.fileno(), metrics]
                child.send(StartScheduler(scheduler_config(config, seat, self.runtime_dir)), fds)
            case Role.WORKER:
                num_workers = len(self.seats.of(Role.WORKER))
                child.send(StartWorker(worker_config(config, seat, num_workers)), [self.memory.arena.fd, metrics])
            case Role.LOADER:
                child.send(StartLoader(loader_config(config, self.real_specs)))
