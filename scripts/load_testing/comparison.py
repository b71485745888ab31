"""Two runs beside each other: each figure of both, the change, and whether it is more than noise. Pure."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from scripts.load_testing.bootstrap import Drawn, Figure, Indexes, draws, interval_of_change
from scripts.load_testing.figures import Figures, FullLoad
from scripts.load_testing.records import Outcome
from scripts.load_testing.saved_run import Row, SavedRun, Step

NOT_COMPARED = {"url", "salt", "ramp", "metrics_interval", "timeout"}  # may differ without making it unfair


class Change(Struct, frozen=True, kw_only=True):
    """One figure of both runs, or its middle over several pairs of runs."""

    name: str
    before: float
    after: float
    relative: float | None  # after / before - 1
    interval: tuple[float, float] | None  # of the relative change, 95 % or all pairs; None: it cannot be told
    is_more_better: bool

    @property
    def verdict(self) -> str:
        """ "better", "worse", "within noise", "same", or "" where it cannot be told."""
        if self.before == self.after and self.interval in (None, (0.0, 0.0)):
            return "same"
        if self.interval is None:
            return ""
        low, high = self.interval
        if low <= 0 <= high:
            return "within noise"
        return "better" if (low > 0) == self.is_more_better else "worse"


class StepComparison(Struct, frozen=True):
    load: str
    changes: list[Change]


def different_options(before: SavedRun, after: SavedRun) -> list[str]:
    """What the two runs were told differently, so that they may not have done the same work."""
    pairs: list[tuple[str, Any, Any]] = [("model", before.model, after.model)]
    ours, theirs = msgspec.structs.asdict(before.options), msgspec.structs.asdict(after.options)
    pairs += [(f"--{name.replace('_', '-')}", ours[name], theirs[name]) for name in ours if name not in NOT_COMPARED]
    return [f"{name}: {old} and {new}" for name, old, new in pairs if old != new]


def comparisons(before: SavedRun, after: SavedRun, with_noise: bool = True) -> list[StepComparison]:
    """Of every load that both runs have, in the order of the first; a single step is compared with a single step.
    Without noise there are no intervals, and it is done at once."""
    if len(before.steps) == len(after.steps) == 1:
        pairs = [(before.steps[0], after.steps[0])]
    else:
        same = {step.load: step for step in after.steps}
        pairs = [(step, same[step.load]) for step in before.steps if step.load in same]
    return [StepComparison(old.load, list(_changes(old, new, with_noise))) for old, new in pairs]


def joined(pairs: Sequence[list[StepComparison]]) -> list[StepComparison]:
    """Several pairs of runs as one: medians, and the interval that holds the change of every pair."""
    if len(pairs) == 1:
        return pairs[0]
    found = []
    for step in pairs[0]:
        same = [other for pair in pairs for other in pair if other.load == step.load]
        names = [change.name for change in step.changes]
        groups = [[change for other in same for change in other.changes if change.name == name] for name in names]
        found.append(StepComparison(step.load, [_middle(group) for group in groups if len(group) == len(pairs)]))
    return found


def _middle(group: list[Change]) -> Change:
    relatives = [change.relative for change in group if change.relative is not None]
    return Change(
        name=group[0].name,
        before=statistics.median(change.before for change in group),
        after=statistics.median(change.after for change in group),
        relative=statistics.median(relatives) if relatives else None,
        interval=(min(relatives), max(relatives)) if len(relatives) == len(group) else None,
        is_more_better=group[0].is_more_better,
    )


def _change(
    name: str, before: float, after: float, interval: tuple[float, float] | None, is_more_better: bool
) -> Change:
    relative = after / before - 1 if before else None
    return Change(
        name=name, before=before, after=after, relative=relative, interval=interval, is_more_better=is_more_better
    )


def _changes(before: Step, after: Step, with_noise: bool) -> Iterator[Change]:
    old, new = _drawn(before, with_noise), _drawn(after, with_noise)
    yield from _rates(before, after, old, new)
    for name, values_of, number in _latencies():
        values = [np.array([value for row in rows for value in values_of(row)]) for rows, _ in (old, new)]
        if all(len(found) for found in values):
            first, second = (float(np.percentile(found, number)) * 1000 for found in values)
            interval = interval_of_change(_percentile(values_of, number), old, new)
            yield _change(name, first, second, interval, is_more_better=False)
    yield from _shares(before, after, old, new)


def _drawn(step: Step, with_noise: bool) -> Drawn:
    rows = sorted((row for row in step.rows if row.outcome is not Outcome.OPEN), key=lambda row: row.began)
    return rows, draws(rows, step.figures.mean_in_flight) if with_noise else []


def _rates(before: Step, after: Step, old: Drawn, new: Drawn) -> Iterator[Change]:
    """At full load where both know it. In an open loop throughput is what was offered: no word on noise there."""
    whole = before.figures.full_load is not None and after.figures.full_load is not None
    every: list[tuple[str, str, Callable[[Row], float]]] = [
        ("requests/s", "requests_per_s", lambda row: float(row.outcome is Outcome.OK)),
        ("output tokens/s", "output_tokens_per_s", lambda row: float(row.output_tokens)),
        ("texts/s", "texts_per_s", lambda row: float(row.texts)),
    ]
    for name, field, work_of in every:
        first, second = (float(getattr(_rates_of(step.figures, whole), field)) for step in (before, after))
        if first or second:
            is_closed = before.rate is None and after.rate is None
            interval = interval_of_change(_speed(work_of), old, new) if is_closed else None
            full_name = f"{name} at full load" if whole else name
            yield _change(full_name, first, second, interval, is_more_better=True)


def _rates_of(figures: Figures, whole: bool) -> Figures | FullLoad:
    return figures.full_load if whole and figures.full_load is not None else figures


def _shares(before: Step, after: Step, old: Drawn, new: Drawn) -> Iterator[Change]:
    answered = [1 - step.figures.num_failed / max(len(step.rows), 1) for step in (before, after)]
    good = [None if step.figures.goodput is None else step.figures.goodput.share for step in (before, after)]
    every: list[tuple[str, Sequence[float | None], Callable[[Row], bool]]] = [
        ("answered, share", answered, lambda row: row.outcome is Outcome.OK),
        ("good requests, share", good, lambda row: row.is_good is True),
    ]
    for name, (first, second), is_so in every:
        if first is not None and second is not None and (first, second) != (1.0, 1.0):
            interval = interval_of_change(_share(is_so), old, new)
            yield _change(name, first, second, interval, is_more_better=True)


def _speed(work_of: Callable[[Row], float]) -> Figure:
    """Work for each second that a request is open: with a fixed number of them open, throughput in proportion."""

    def of(rows: Sequence[Row]) -> Callable[[Indexes], float | None]:
        work = np.array([work_of(row) for row in rows])
        seconds = np.array([0.0 if row.ended is None else row.ended - row.began for row in rows])
        return lambda chosen: float(work[chosen].sum() / seconds[chosen].sum())

    return of


def _share(is_so: Callable[[Row], bool]) -> Figure:
    def of(rows: Sequence[Row]) -> Callable[[Indexes], float | None]:
        found = np.array([is_so(row) for row in rows])
        return lambda chosen: float(found[chosen].mean())

    return of


def _percentile(values_of: Callable[[Row], Sequence[float]], number: int) -> Figure:
    def of(rows: Sequence[Row]) -> Callable[[Indexes], float | None]:
        each = [np.asarray(values_of(row), dtype=np.float64) for row in rows]

        def percentile(chosen: Indexes) -> float | None:
            values = np.concatenate([each[index] for index in chosen])
            return float(np.percentile(values, number)) if len(values) else None

        return percentile

    return of


def _latencies() -> list[tuple[str, Callable[[Row], Sequence[float]], int]]:
    every: list[tuple[str, Callable[[Row], Sequence[float]]]] = [
        ("TTFT", lambda row: [] if row.ttft is None else [row.ttft]),
        ("ITL", lambda row: row.gaps),
        ("TPOT", lambda row: [] if row.tpot is None else [row.tpot]),
        ("E2EL", lambda row: [] if row.e2e is None else [row.e2e]),
    ]
    return [(f"{name} p{number}, ms", values_of, number) for name, values_of in every for number in (50, 99)]


def percent(share: float | None) -> str:
    """A relative change for people."""
    return "-" if share is None or not math.isfinite(share) else f"{share:+.1%}"
