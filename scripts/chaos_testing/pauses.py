"""How long streams stood still: for every stream that was open at a moment, its largest gap in the seconds after it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from scripts.chaos_testing.http_client import Attempt
from scripts.load_testing.figures import Distribution, distribution

WINDOW_S = 5.0  # a gap that begins later after a fault has another cause


def pauses(attempts: Sequence[Attempt], moments: Iterable[float]) -> Distribution | None:
    """Over all pairs of a moment and a stream open then. A request with two choices is two streams."""
    return distribution([gap for moment in moments for gap in _pauses_at(attempts, moment)])


def _pauses_at(attempts: Sequence[Attempt], moment: float) -> Iterator[float]:
    for attempt in attempts:
        if not attempt.is_streamed or attempt.is_excused or not _is_open(attempt, moment):
            continue
        for times in attempt.text_times.values():
            if times[-1] > moment:
                yield largest_gap(times, moment)


def _is_open(attempt: Attempt, moment: float) -> bool:
    return attempt.began <= moment and (attempt.ended is None or attempt.ended > moment)


def largest_gap(times: Sequence[float], moment: float) -> float:
    """The largest gap between two events that overlaps the window after `moment`.

    `times` rise and the last one lies after `moment`. Before the first event, waiting counts from `moment` on.
    """
    gaps = [later - earlier for earlier, later in pairwise(times) if _overlaps(earlier, later, moment)]
    if times[0] > moment:
        gaps.append(times[0] - moment)
    return max(gaps)


def _overlaps(earlier: float, later: float, moment: float) -> bool:
    return later > moment and earlier < moment + WINDOW_S
