"""Who is blamed when a worker dies or a step fails, and runs alone until it has shown what it is.

Only the step that was being computed is blamed: those behind it had not begun. A stream or pair that was blamed
SUSPECT_DEATHS times without progress in between runs alone, so the next death has one culprit; at MAX_DEATHS it fails.
A step that raised an exception makes all its rows suspects at once; the one that raises it alone fails.
"""

import numpy as np

from scheduler.ledger import Ledger, Slots
from scheduler.stream import ScoreJob, SlotState

SUSPECT_DEATHS = 2
MAX_DEATHS = 3
_NO_SLOTS: Slots = np.empty(0, np.intp)
CRASH_LOOP = f"{MAX_DEATHS} workers died while this request was being computed"


def suspects_on(ledger: Ledger, worker: int) -> Slots:
    """Slots of the worker that must run alone, in the order of their admission."""
    if not np.count_nonzero(ledger.num_deaths):  # nearly always
        return _NO_SLOTS
    slots = np.flatnonzero(
        (ledger.worker == worker) & (ledger.state == SlotState.RUNNING) & (ledger.num_deaths >= SUSPECT_DEATHS)
    )
    return slots[np.argsort(ledger.order[slots])]


def is_suspect(job: ScoreJob, pair: int) -> bool:
    return job.deaths.get(pair, 0) >= SUSPECT_DEATHS


def blame_slots(ledger: Ledger, slots: Slots) -> Slots:
    """A worker died computing these; returns those of them that have been aboard once too often."""
    ledger.num_deaths[slots] += 1
    return slots[ledger.num_deaths[slots] >= MAX_DEATHS]


def blame_pairs(pairs: list[tuple[ScoreJob, int]]) -> list[ScoreJob]:
    """As `blame_slots`: the jobs that have a pair that was aboard once too often."""
    for job, pair in pairs:
        job.deaths[pair] = job.deaths.get(pair, 0) + 1
    return [job for job, pair in pairs if job.deaths[pair] >= MAX_DEATHS]


def suspect_slots(ledger: Ledger, slots: Slots) -> None:
    """A step of these raised an exception: each is tried alone."""
    ledger.num_deaths[slots] = np.maximum(ledger.num_deaths[slots], SUSPECT_DEATHS)


def suspect_pairs(pairs: list[tuple[ScoreJob, int]]) -> None:
    """As `suspect_slots`."""
    for job, pair in pairs:
        job.deaths[pair] = max(job.deaths.get(pair, 0), SUSPECT_DEATHS)
