"""Which candidates are worth choosing: those that no other beats in throughput and in latency at once. Pure."""

import statistics
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from scripts.tuning.candidate import Candidate
from scripts.tuning.objective import Point


class Summary(Struct, frozen=True, kw_only=True):
    """Medians of all measurements of one candidate. `beaten_by`: "" on the frontier."""

    candidate: Candidate
    throughput: float
    goodput: float
    ttft_ms: float | None
    itl_ms: float | None
    end_to_end_ms: float
    num_measurements: int
    beaten_by: str = ""

    @property
    def latency_ms(self) -> float:
        """What throughput is weighed against: first tokens where there are any, else whole answers."""
        return self.end_to_end_ms if self.ttft_ms is None else self.ttft_ms


def frontier(measured: Sequence[tuple[Candidate, Point]]) -> list[Summary]:
    """All candidates, the one with the most throughput first."""
    by_candidate: dict[Candidate, list[Point]] = {}
    for candidate, point in measured:
        by_candidate.setdefault(candidate, []).append(point)
    summaries = [_summary(candidate, points) for candidate, points in by_candidate.items()]
    judged = [_judged(summary, summaries) for summary in summaries]
    return sorted(judged, key=lambda summary: -summary.throughput)


def _summary(candidate: Candidate, points: Sequence[Point]) -> Summary:
    return Summary(
        candidate=candidate,
        throughput=statistics.median(point.throughput for point in points),
        goodput=statistics.median(point.goodput for point in points),
        ttft_ms=_median(point.ttft_ms for point in points),
        itl_ms=_median(point.itl_ms for point in points),
        end_to_end_ms=statistics.median(point.end_to_end_ms for point in points),
        num_measurements=len(points),
    )


def _judged(one: Summary, summaries: Sequence[Summary]) -> Summary:
    for other in summaries:
        is_no_worse = other.throughput >= one.throughput and other.latency_ms <= one.latency_ms
        if is_no_worse and (other.throughput, other.latency_ms) != (one.throughput, one.latency_ms):
            return replace(one, beaten_by=str(other.candidate))
    return one


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None
