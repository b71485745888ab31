"""One challenger against one incumbent: short loads first, longer ones only for who may still win.

The sides alternate as A B B A, so that a machine that becomes slower or faster meanwhile treats both alike, and both
get the same requests. A load's seed is new in every pair: no server sees a prompt twice, or its cache would answer.
"""

import itertools
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from typing import Protocol

from scripts.tuning.candidate import Candidate
from scripts.tuning.comparison import Comparison, Outcome, judge, ratio_of
from scripts.tuning.objective import Objective, Point, TrialFailed

MIN_GAIN = 0.03  # what is less is not worth a setting that the next reader must understand
LEAST_PAIRS = 2  # fewer or as many say nothing on the noise
HOPELESS = 0.98  # a ratio below it after the short loads ends a duel


class Measure(Protocol):
    """Puts load on a server with a candidate's settings for about so many seconds. Raises TrialFailed."""

    def __call__(self, candidate: Candidate, seconds: float, seed: int) -> Awaitable[Point]: ...


@dataclass(frozen=True)
class Stage:
    """So many pairs of loads of about so many seconds each. An even number keeps the order balanced."""

    num_pairs: int
    seconds: float


class IncumbentFailed(Exception):
    """The best so far could not be measured again; the text says why."""


class Duels:
    """Compares candidates by measuring them."""

    def __init__(self, measure: Measure, objective: Objective) -> None:
        self._measure = measure
        self._objective = objective
        self._seeds: Iterator[int] = itertools.count(1)

    async def compare(self, incumbent: Candidate, challenger: Candidate, stages: list[Stage]) -> Comparison:
        """Stops after the first stage that leaves nothing open. Raises IncumbentFailed; a challenger that fails has
        lost."""
        ours: list[Point] = []
        theirs: list[Point] = []
        try:
            for stage in stages:
                for number in range(stage.num_pairs):
                    await self._pair((incumbent, ours), (challenger, theirs), stage.seconds, number % 2 == 1)
                if self._is_clear(ours, theirs):
                    break
        except TrialFailed as error:
            return Comparison(incumbent=incumbent, challenger=challenger, outcome=Outcome.FAILED, failure=str(error))
        return self._comparison(incumbent, challenger, ours, theirs)

    def _comparison(
        self, incumbent: Candidate, challenger: Candidate, ours: list[Point], theirs: list[Point]
    ) -> Comparison:
        return Comparison(
            incumbent=incumbent,
            challenger=challenger,
            outcome=judge(self._objective, ours, theirs, MIN_GAIN),
            incumbent_points=tuple(ours),
            challenger_points=tuple(theirs),
            ratio=ratio_of(self._objective, ours, theirs),
        )

    async def _pair(
        self,
        incumbent: tuple[Candidate, list[Point]],
        challenger: tuple[Candidate, list[Point]],
        seconds: float,
        challenger_first: bool,
    ) -> None:
        """Both lists get one point, or none where this raises."""
        seed = next(self._seeds)
        if challenger_first:
            second = await self._measure(challenger[0], seconds, seed)
            first = await self._incumbent(incumbent[0], seconds, seed)
        else:
            first = await self._incumbent(incumbent[0], seconds, seed)
            second = await self._measure(challenger[0], seconds, seed)
        incumbent[1].append(first)
        challenger[1].append(second)

    async def _incumbent(self, candidate: Candidate, seconds: float, seed: int) -> Point:
        try:
            return await self._measure(candidate, seconds, seed)
        except TrialFailed as error:
            raise IncumbentFailed(f"{candidate}: {error}") from error

    def _is_clear(self, ours: list[Point], theirs: list[Point]) -> bool:
        """More loads would hardly change what comes of it. Two pairs can only be clearly behind."""
        outcome = judge(self._objective, ours, theirs, MIN_GAIN)
        if len(ours) > LEAST_PAIRS:
            return outcome is not Outcome.PROMISING
        if outcome in (Outcome.BETTER, Outcome.PROMISING):
            return False
        return outcome is not Outcome.EQUAL or ratio_of(self._objective, ours, theirs).mean < HOPELESS
