"""The scheduler's side of one worker: its link, and the steps in flight on it in the order they will be done."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ipc.worker_link import SchedulerLink, StepTicket
from scheduler.ledger import Slots
from scheduler.stream import ScoreJob


@dataclass(eq=False, slots=True)
class GenerateFlight:
    """A GENERATE step under way. `samples` marks rows that draw a token."""

    ticket: StepTicket
    model: int
    slots: Slots
    num_new: npt.NDArray[np.int32]
    samples: npt.NDArray[np.bool_]
    planned_at: float


@dataclass(eq=False, slots=True)
class ScoreFlight:
    """A SCORE step under way: its rows are (job, pair index)."""

    ticket: StepTicket
    model: int
    pairs: list[tuple[ScoreJob, int]]
    planned_at: float


Flight = GenerateFlight | ScoreFlight


@dataclass(eq=False, slots=True)
class WorkerPeer:
    """One linked worker. Made by AddWorker, forgotten by WorkerGone."""

    worker_id: int
    epoch: int
    link: SchedulerLink
    flights: deque[Flight] = field(default_factory=deque)
    is_draining: bool = False
    next_model: int = 0  # models take turns
    num_steps: int = 0
