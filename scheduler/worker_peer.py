"""The scheduler's side of one worker: its link, and the steps in flight on it in the order they will be done."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from ipc.step_layout import StepColumns
from ipc.worker_link import SchedulerLink, StepTicket
from scheduler.ledger import Slots
from scheduler.migration_record import Migration
from scheduler.stream import ScoreJob

Phases = Literal["both", "prefill", "decode"]


@dataclass(eq=False, slots=True)
class GenerateFlight:
    """A GENERATE step under way. `samples` marks rows that draw a token.

    `is_void` marks rows whose step before this one was lost: what comes of them does not count.
    """

    ticket: StepTicket
    columns: StepColumns  # inputs and, once it is done, results
    model: int
    num_tokens: int
    slots: Slots
    num_new: npt.NDArray[np.int32]
    samples: npt.NDArray[np.bool_]
    is_void: npt.NDArray[np.bool_]
    is_alone: bool = False  # one suspect, nothing beside or behind it
    planned_at: float = field(default_factory=time.monotonic)


@dataclass(eq=False, slots=True)
class ScoreFlight:
    """A SCORE step under way: its rows are (job, pair index)."""

    ticket: StepTicket
    columns: StepColumns
    model: int
    num_tokens: int
    pairs: list[tuple[ScoreJob, int]]
    is_alone: bool = False
    planned_at: float = field(default_factory=time.monotonic)


@dataclass(eq=False, slots=True)
class CopyFlight:
    """A COPY step under way: pages of these slots' migrations."""

    ticket: StepTicket
    columns: StepColumns
    model: int
    num_tokens: int  # positions copied
    moves: list[tuple[int, Migration]]  # slot, and what it was when the step was planned
    is_alone: bool = False
    planned_at: float = field(default_factory=time.monotonic)


Flight = GenerateFlight | ScoreFlight | CopyFlight


@dataclass(eq=False, slots=True)
class WorkerPeer:
    """One linked worker. Made by AddWorker, forgotten by WorkerGone or when it is drained."""

    worker_id: int
    epoch: int
    link: SchedulerLink
    pool: int = 0
    phases: Phases = "both"
    is_spare: bool = False
    flights: deque[Flight] = field(default_factory=deque)
    is_draining: bool = False
    is_condemned: bool = False  # the supervisor was asked to kill it
    next_model: int = 0  # models take turns
    num_steps: int = 0
    last_report: float = 0.0  # monotonic seconds
    prompt_steps: dict[int, int] = field(default_factory=dict)  # by model: how many in a row left decoding streams out

    def void_later(self, model: int, slots: Slots) -> None:
        """Steps in flight build on what one before them did not compute: what comes of these slots does not count."""
        for later in self.flights:
            if isinstance(later, GenerateFlight) and later.model == model:
                later.is_void |= np.isin(later.slots, slots)

    @property
    def is_live(self) -> bool:
        """It takes new steps."""
        return not (self.is_spare or self.is_draining or self.is_condemned)

    @property
    def is_busy_alone(self) -> bool:
        """A suspect is computed: nothing may be aboard beside it."""
        return bool(self.flights) and self.flights[-1].is_alone

    @property
    def step_began(self) -> float:
        """When the oldest step in flight began to be computed, monotonic seconds."""
        return max(self.flights[0].planned_at, self.last_report)
