"""What is wanted, and how a measurement is judged by it. Pure: no clock, no server."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

Kind = Literal["throughput", "goodput", "latency"]
KINDS: tuple[Kind, ...] = ("throughput", "goodput", "latency")


class Point(Struct, frozen=True, kw_only=True):
    """One measurement of one candidate. Latencies are 90th percentiles in milliseconds; None: there is none."""

    throughput: float  # output tokens a second, or pairs or texts where nothing is generated
    goodput: float  # requests a second that kept the targets
    ttft_ms: float | None = None
    itl_ms: float | None = None  # mean of a request's further tokens
    end_to_end_ms: float
    num_requests: int
    seconds: float


class TrialFailed(Exception):
    """A candidate could not be measured: its server did not start or ended, or requests failed. The text says why."""


@dataclass(frozen=True)
class Objective:
    """More of `value` is better, among those whose `overrun` is at most 1."""

    kind: Kind = "throughput"
    target_ttft_ms: float | None = None
    target_itl_ms: float | None = None
    target_e2e_ms: float | None = None
    unit: str = "output tokens/s"  # of a point's throughput

    def value(self, point: Point) -> float:
        match self.kind:
            case "throughput":
                return point.throughput
            case "goodput":
                return point.goodput
            case "latency":
                return 1000.0 / point.end_to_end_ms  # more is better here too

    def overrun(self, points: Sequence[Point]) -> float:
        """How often the worst of the targets fits into what was measured (the median of several points). At most 1: all
        targets are kept. Goodput has the targets in itself."""
        if self.kind == "goodput":
            return 0.0
        measured = (
            (self.target_ttft_ms, [point.ttft_ms for point in points if point.ttft_ms is not None]),
            (self.target_itl_ms, [point.itl_ms for point in points if point.itl_ms is not None]),
            (self.target_e2e_ms, [point.end_to_end_ms for point in points]),
        )
        return max(
            (statistics.median(values) / target for target, values in measured if target and values), default=0.0
        )

    @property
    def value_name(self) -> str:
        """For people: what is compared."""
        return {
            "throughput": self.unit,
            "goodput": "requests/s within the targets",
            "latency": "answers' speed (1 / 90th percentile of the whole time)",
        }[self.kind]

    @property
    def targets(self) -> str:
        """For people; "" without any."""
        named = {"first token": self.target_ttft_ms, "inter-token": self.target_itl_ms, "end": self.target_e2e_ms}
        return ", ".join(f"{name} at most {value:g} ms" for name, value in named.items() if value)
