"""Measures candidates: a server with its settings, and the load on it. What the search calls."""

import asyncio
import time
from collections.abc import Callable

from msgspec.structs import replace

from scripts.load_testing.figures import Distribution, Figures
from scripts.load_testing.measure import measure
from scripts.load_testing.options import LoadOptions
from scripts.load_testing.server import ServerError
from scripts.load_testing.workloads import KINDS
from scripts.tuning.candidate import DEFAULTS, Candidate
from scripts.tuning.objective import Point, TrialFailed
from scripts.tuning.trial_servers import TrialServers

WAVES = 2  # at least so many requests for each that is open at once: one wave alone would be all start and end
COLD_S = 10.0  # a first load that takes longer does not owe it to cold caches
TOO_SLOW = 4.0  # a candidate that takes so many times longer than the defaults is cut off
GRACE_S = 20.0  # beside that, for the last requests


class Trials:
    """`points` holds every measurement, in order, for who looks while more are made."""

    def __init__(
        self, servers: TrialServers, load: LoadOptions, time_limit_s: float, tell: Callable[[str], None]
    ) -> None:
        """`time_limit_s`: of the defaults' first load. `tell` hears what is being done now."""
        self._time_limit_s = time_limit_s
        self.points: list[tuple[Candidate, Point]] = []
        self.start_s = 0.0  # of the first server
        self._servers = servers
        self._load = load
        self._tell = tell
        self._requests_per_s = 0.0  # of the defaults; sizes every other load

    @property
    def shortest_s(self) -> float:
        """Seconds that the smallest sensible load takes with the defaults."""
        return WAVES * self._width / self._requests_per_s

    @property
    def _width(self) -> int:
        return self._load.concurrency

    async def probe(self) -> Point:
        """Start the defaults and find out how fast they are. Raises TrialFailed."""
        began = time.perf_counter()
        self._tell("starting a server with the defaults")
        await self._servers.url(DEFAULTS)
        self.start_s = time.perf_counter() - began
        self._tell("measuring how fast it is")
        point = await self._measure(DEFAULTS, WAVES * self._width, self._time_limit_s, "probe")
        if point.seconds < COLD_S:
            point = await self._measure(DEFAULTS, WAVES * self._width, self._time_limit_s, "again")
        self._requests_per_s = point.num_requests / point.seconds
        return point

    async def __call__(self, candidate: Candidate, seconds: float, seed: int) -> Point:
        """A load that takes the defaults about `seconds`. Raises TrialFailed."""
        num_requests = max(WAVES * self._width, round(self._requests_per_s * seconds))
        expected_s = num_requests / self._requests_per_s
        is_new = not self._servers.runs(candidate)
        if is_new:
            self._tell(f"starting a server: {candidate}")
            await self._servers.url(candidate)
            self._tell(f"warming up: {candidate}")
            await self._measure(candidate, self._width, self._limit_s(self.shortest_s), f"warm-up {seed}")
        self._tell(f"measuring for about {expected_s:.0f} s: {candidate}")
        point = await self._measure(candidate, num_requests, self._limit_s(expected_s), str(seed))
        self.points.append((candidate, point))
        return point

    def _limit_s(self, expected_s: float) -> float:
        return TOO_SLOW * expected_s + GRACE_S

    async def _measure(self, candidate: Candidate, num_requests: int, limit_s: float, salt: str) -> Point:
        """Raises TrialFailed; the server is ended then. `salt`: of the words, new for every load on one server."""
        load = replace(self._load, requests=num_requests, duration=limit_s, salt=salt, warmup=0)
        try:
            async with asyncio.timeout(limit_s):
                figures = await measure(load, await self._servers.url(candidate))
            return point_of(figures, load)
        except (ServerError, TrialFailed, TimeoutError) as error:
            await self._servers.discard(candidate)
            raise TrialFailed(str(error) or f"{num_requests} requests took more than {limit_s:.0f} s") from error


def is_generating(load: LoadOptions) -> bool:
    """Some of the requests want tokens."""
    return any(KINDS[kind].task == "generate" for kind in load.kinds)


def throughput_unit(load: LoadOptions) -> str:
    """What `Point.throughput` counts."""
    if is_generating(load):
        return "output tokens/s"
    return "texts/s" if load.workload == "embed" else "pairs/s"


def point_of(figures: Figures, load: LoadOptions) -> Point:
    """Raises TrialFailed where requests failed: speed is worth nothing then."""
    if figures.num_failed or not figures.num_ok or figures.end_to_end_s is None:
        kinds = ", ".join(f"{error.count} x {error.error} {error.example}".strip() for error in figures.errors)
        raise TrialFailed(f"{figures.num_failed} of {figures.num_failed + figures.num_ok} requests failed: {kinds}")
    return Point(
        throughput=figures.output_tokens_per_s if is_generating(load) else figures.texts_per_s,
        goodput=figures.goodput.requests_per_s if figures.goodput else 0.0,
        ttft_ms=_p90_ms(figures.time_to_first_token_s),
        itl_ms=_p90_ms(figures.time_per_output_token_s),
        end_to_end_ms=figures.end_to_end_s.p90 * 1000,
        num_requests=figures.num_ok,
        seconds=figures.duration_s,
    )


def _p90_ms(found: Distribution | None) -> float | None:
    return None if found is None else found.p90 * 1000
