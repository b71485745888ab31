"""All that one run found out, and which settings follow from it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.tuning.candidate import DEFAULTS, Candidate
from scripts.tuning.comparison import Comparison, Outcome
from scripts.tuning.objective import Objective, Point
from scripts.tuning.space import Axis


@dataclass(frozen=True, kw_only=True)
class Result:
    """`best` is what the search found; `chosen` what is written."""

    command: str
    load: str  # arguments of scripts/load_test
    models: Sequence[str]  # as they were typed; none: the tiny ones
    base: Mapping[str, object]  # settings that were given and stay
    objective: Objective
    axes: Sequence[Axis]
    best: Candidate
    comparisons: Sequence[Comparison]
    measured: Sequence[tuple[Candidate, Point]]
    confirmation: Comparison | None  # None: the defaults are the best, or it was interrupted before
    was_interrupted: bool
    took_s: float
    trouble: Sequence[str] = ()

    @property
    def chosen(self) -> Candidate:
        """The best where it was confirmed or could not be for an interruption; else the defaults."""
        if self.confirmation is None:
            return self.best if self.was_interrupted else DEFAULTS
        return self.best if self.confirmation.outcome is Outcome.BETTER else DEFAULTS

    @property
    def verdict(self) -> str:
        """One sentence on what is written, for the file and the terminal."""
        if self.was_interrupted and self.confirmation is None:
            return f"Interrupted: the best so far ({self.best}), which was not measured again."
        if self.confirmation is None and self.best != DEFAULTS:
            return f"The search preferred {self.best}, but it could not be measured again. So these are the defaults."
        if self.confirmation is None:
            return "Nothing that was tried beat the defaults, so these are the defaults."
        said = f"measured again in {len(self.confirmation.challenger_points)} alternating pairs: {self.confirmation}"
        if self.chosen == DEFAULTS:
            return f"The search preferred {self.best}, but {said}. So these are the defaults."
        return f"Against the defaults, {said}."
