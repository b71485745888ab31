"""Runs of both sides in alternation, and what they say together."""

import statistics
from collections.abc import Sequence

from msgspec import Struct

from benchmarks.overhead.timeline import Rates


class ServerRun(Struct, frozen=True):
    """One run through HTTP, and who used the cores meanwhile."""

    rates: Rates
    cpu_s: dict[str, float]  # by process: worker, scheduler, frontend, supervisor, client
    foreign_cores: float  # cores that others than the server and the client used


class BareRun(Struct, frozen=True):
    """One run of a loop."""

    rates: Rates
    cpu_s: float
    foreign_cores: float


class Ratio(Struct, frozen=True):
    """Of paired runs: server over loop."""

    median: float
    smallest: float
    largest: float


class Comparison(Struct, frozen=True):
    """All runs with one number of streams; `bare[i]` and `server[i]` ran one after the other."""

    num_streams: int
    bare: list[BareRun]
    server: list[ServerRun]
    transformers: list[BareRun]

    @property
    def decode_ratio(self) -> Ratio:
        pairs = zip(self.server, self.bare, strict=True)
        return ratio([server.rates.decode / bare.rates.decode for server, bare in pairs])

    @property
    def run_ratio(self) -> Ratio:
        pairs = zip(self.server, self.bare, strict=True)
        return ratio([server.rates.run / bare.rates.run for server, bare in pairs])

    def server_cpu_ms_per_token(self, role: str, output_tokens: int) -> float:
        """Median CPU milliseconds a token of one process, prefill included."""
        seconds = statistics.median(run.cpu_s.get(role, 0.0) for run in self.server)
        return 1000 * seconds / (self.num_streams * output_tokens)

    def bare_cpu_ms_per_token(self, output_tokens: int) -> float:
        return 1000 * statistics.median(run.cpu_s for run in self.bare) / (self.num_streams * output_tokens)


def ratio(values: Sequence[float]) -> Ratio:
    return Ratio(statistics.median(values), min(values), max(values))


def median_decode(runs: Sequence[BareRun | ServerRun]) -> float:
    return statistics.median(run.rates.decode for run in runs)


def median_run(runs: Sequence[BareRun | ServerRun]) -> float:
    return statistics.median(run.rates.run for run in runs)
