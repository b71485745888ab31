"""Two candidates measured in alternation, and what that says about which is better."""

import math
import statistics
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from scripts.tuning.candidate import Candidate
from scripts.tuning.objective import Objective, Point

# Student's t, one-sided 95 %, by degrees of freedom from 1 on; larger samples take the last one.
_T_95 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)


class Outcome(Enum):
    """Of the challenger."""

    BETTER = "better"
    PROMISING = "better, but not beyond the noise"
    WORSE = "worse"
    EQUAL = "equal within the noise"
    MISSES_TARGET = "misses the target"
    FAILED = "failed"
    OPEN = "not finished"


class Ratio(Struct, frozen=True):
    """Challenger's value over incumbent's: geometric mean of the pairs, and where the true one lies (90 of 100)."""

    mean: float
    low: float
    high: float


class Comparison(Struct, frozen=True, kw_only=True):
    """Point i of one side was measured next to point i of the other, with the same requests."""

    incumbent: Candidate
    challenger: Candidate
    outcome: Outcome
    incumbent_points: tuple[Point, ...] = ()
    challenger_points: tuple[Point, ...] = ()
    ratio: Ratio | None = None  # None: nothing to compare
    failure: str = ""

    def __str__(self) -> str:
        times = f"{self.ratio.mean:.3f} times ({self.ratio.low:.3f}-{self.ratio.high:.3f})" if self.ratio else ""
        reason = self.failure.splitlines()[0] if self.failure else ""
        return ", ".join(part for part in (times, self.outcome.value, reason) if part)


def ratio_of(objective: Objective, incumbent: Sequence[Point], challenger: Sequence[Point]) -> Ratio:
    """Of the values, pair by pair. One pair says nothing about the noise: its bounds are 0 and infinite."""
    logs = [_log_ratio(objective, a, b) for a, b in zip(incumbent, challenger, strict=True)]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return Ratio(math.exp(mean), 0.0, math.inf)
    error = _T_95[min(len(logs) - 1, len(_T_95)) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), _exp(mean - error), _exp(mean + error))


def judge(objective: Objective, incumbent: Sequence[Point], challenger: Sequence[Point], min_gain: float) -> Outcome:
    """Where only one keeps the targets it is better; where none does, the one nearer to them; else by value. What is
    above 1 + `min_gain` is promising, and better where the noise cannot explain it."""
    before, after = objective.overrun(incumbent), objective.overrun(challenger)
    if before <= 1 < after:
        return Outcome.MISSES_TARGET
    if after > 1:
        return _judged(before / after, before / after, before / after, min_gain)
    if before > 1:
        return Outcome.BETTER
    ratio = ratio_of(objective, incumbent, challenger)
    return _judged(ratio.mean, ratio.low, ratio.high, min_gain)


def _judged(mean: float, low: float, high: float, min_gain: float) -> Outcome:
    if mean > 1 + min_gain:
        return Outcome.BETTER if low > 1 else Outcome.PROMISING
    return Outcome.WORSE if mean < 1 and high < 1 else Outcome.EQUAL


def _log_ratio(objective: Objective, incumbent: Point, challenger: Point) -> float:
    floor = 1e-9  # goodput can be none at all
    return math.log(max(objective.value(challenger), floor) / max(objective.value(incumbent), floor))


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # the largest float is near exp(709)
