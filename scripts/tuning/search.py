"""The search: walks along one axis after the other from the best so far, for as long as it becomes better.

It knows candidates and how to compare two of them, and nothing of servers. What cannot be tried in time is not tried.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.tuning.candidate import DEFAULTS, Candidate
from scripts.tuning.comparison import Comparison, Outcome
from scripts.tuning.duel import Duels, IncumbentFailed, Stage
from scripts.tuning.space import Axis

MAX_PASSES = 2  # a second walk along the axes, from where the first one ended
TAKEN = (Outcome.BETTER, Outcome.PROMISING)  # the confirmation at the end is stricter


@dataclass
class Findings:
    """Grows while the search runs and is valid at every moment: who interrupts it has the best so far."""

    best: Candidate = DEFAULTS
    comparisons: list[Comparison] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    is_complete: bool = False  # every axis was walked; False: the time ended before

    def outcome_of(self, incumbent: Candidate, challenger: Candidate) -> Outcome | None:
        """What came of it; None: never tried."""
        for comparison in self.comparisons:
            if (comparison.incumbent, comparison.challenger) == (incumbent, challenger):
                return comparison.outcome
        return None


class Search:
    """Runs once. `findings` fill meanwhile."""

    def __init__(
        self,
        duels: Duels,
        axes: list[Axis],
        stages: list[Stage],
        deadline: float,
        tell: Callable[[Comparison], None] = lambda comparison: None,
    ) -> None:
        """`deadline`: of the loop's clock. `tell` hears of every comparison once it is done."""
        self.findings = Findings()
        self._duels = duels
        self._axes = axes
        self._stages = stages
        self._deadline = deadline
        self._tell = tell

    async def run(self) -> None:
        """Until every axis was walked or the time is up."""
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._walk_all()
                self.findings.is_complete = True
        except TimeoutError:
            return  # what was being compared when the time ended stays undecided
        except IncumbentFailed as error:
            self.findings.trouble.append(
                f"the search ended early: the best so far could not be measured again: {error}"
            )

    async def _walk_all(self) -> None:
        for _ in range(MAX_PASSES):
            before = self.findings.best
            for axis in self._axes:
                await self._walk(axis)
            if self.findings.best == before:
                return

    async def _walk(self, axis: Axis) -> None:
        """Upwards for as long as it helps; if it did not, downwards."""
        if not await self._climb(axis, 1):
            await self._climb(axis, -1)

    async def _climb(self, axis: Axis, step: int) -> bool:
        """True: the best is another one now."""
        has_moved = False
        place = axis.place_of(self.findings.best) + step
        while 0 <= place < len(axis.choices):
            if not await self._try(self.findings.best.changed(axis.choices[place])):
                break
            has_moved = True
            place += step
        return has_moved

    async def _try(self, challenger: Candidate) -> bool:
        incumbent = self.findings.best
        if self.findings.outcome_of(incumbent, challenger) or self.findings.outcome_of(challenger, incumbent):
            return False  # decided before; the incumbent won, or it would not be it
        comparison = await self._duels.compare(incumbent, challenger, self._stages)
        self.findings.comparisons.append(comparison)
        if comparison.outcome in TAKEN:
            self.findings.best = challenger
        self._tell(comparison)
        return comparison.outcome in TAKEN
