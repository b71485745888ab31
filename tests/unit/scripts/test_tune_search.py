"""`scripts/tune`'s search, against servers that are formulas: it finds what is best, and believes no noise."""

import asyncio
import math
import random
from collections.abc import Callable

import pytest

from scripts.tuning.candidate import DEFAULTS, Candidate
from scripts.tuning.comparison import Comparison, Outcome
from scripts.tuning.duel import Duels, IncumbentFailed, Stage
from scripts.tuning.objective import Objective, Point, TrialFailed
from scripts.tuning.search import Findings, Search
from scripts.tuning.space import SWEEPS, make_axes

STAGES = [Stage(2, 1.0), Stage(2, 2.0)]
AXES = make_axes(SWEEPS, num_cores=4, concurrency=32, is_generating=True)
DEADLINE_S = 30.0
Surface = Callable[[Candidate], Point]


def point(throughput: float, ttft_ms: float = 100.0) -> Point:
    return Point(
        throughput=throughput, goodput=0.0, ttft_ms=ttft_ms, end_to_end_ms=1000.0, num_requests=10, seconds=1.0
    )


class FormulaServers:
    """Answers at once with what `surface` says, up to a factor of e**noise either way (one sigma)."""

    def __init__(self, surface: Surface, noise: float = 0.0, seed: int = 0) -> None:
        self.calls: list[tuple[Candidate, float, int]] = []
        self._surface = surface
        self._noise = noise
        self._random = random.Random(seed)

    async def __call__(self, candidate: Candidate, seconds: float, seed: int) -> Point:
        self.calls.append((candidate, seconds, seed))
        found = self._surface(candidate)
        return point(found.throughput * math.exp(self._random.gauss(0.0, self._noise)), found.ttft_ms or 0.0)


def bump(candidate: Candidate, name: str, best: int) -> float:
    """1 at the best value, 0.8 for each doubling away from it. The default 0 of threads means 4 here."""
    return float(0.8 ** abs(math.log2((candidate.value(name) or 4) / best)))


def search(servers: FormulaServers, objective: Objective | None = None) -> Findings:
    async def run() -> Findings:
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        found = Search(Duels(servers, objective or Objective()), AXES, STAGES, deadline)
        await found.run()
        return found.findings

    return asyncio.run(run())


def test_it_finds_the_best_of_several_axes() -> None:
    def surface(candidate: Candidate) -> Point:
        factors = [bump(candidate, "max_num_batched_tokens", 2048), bump(candidate, "max_num_seqs", 16)]
        return point(1000 * math.prod(factors) * bump(candidate, "frontends", 1))

    found = search(FormulaServers(surface))
    assert found.best == DEFAULTS.changed({"max_num_batched_tokens": 2048, "max_num_seqs": 16})
    assert found.is_complete


def test_it_walks_down_where_up_is_worse_and_changes_what_belongs_together() -> None:
    def surface(candidate: Candidate) -> Point:
        workers = bump(candidate, "workers", 2) * bump(candidate, "threads", 2)
        return point(1000 * bump(candidate, "max_num_batched_tokens", 128) * workers)

    found = search(FormulaServers(surface, noise=0.01))
    assert found.best == DEFAULTS.changed({"max_num_batched_tokens": 128, "workers": 2, "threads": 2})


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_hardly_ever_taken_for_a_gain(seed: int) -> None:
    servers = FormulaServers(lambda candidate: point(1000.0), noise=0.01, seed=seed)
    assert search(servers).best == DEFAULTS


def test_who_is_far_behind_gets_no_long_loads_and_the_sides_alternate_with_the_same_requests() -> None:
    servers = FormulaServers(lambda candidate: point(1000.0 if candidate == DEFAULTS else 500.0))
    other = DEFAULTS.changed({"frontends": 2})
    found = asyncio.run(Duels(servers, Objective()).compare(DEFAULTS, other, STAGES))
    assert found.outcome is Outcome.WORSE
    assert servers.calls == [(DEFAULTS, 1.0, 1), (other, 1.0, 1), (other, 1.0, 2), (DEFAULTS, 1.0, 2)]


def test_the_target_comes_before_throughput() -> None:
    def surface(candidate: Candidate) -> Point:
        tokens = candidate.value("max_num_batched_tokens")
        return point(tokens, ttft_ms=tokens / 10)  # more of both

    found = search(FormulaServers(surface), Objective(target_ttft_ms=110.0))
    assert found.best.value("max_num_batched_tokens") == 1024
    assert Outcome.MISSES_TARGET in [one.outcome for one in found.comparisons]


def test_where_the_defaults_miss_the_target_it_looks_for_who_keeps_it() -> None:
    def surface(candidate: Candidate) -> Point:
        tokens = candidate.value("max_num_batched_tokens")
        return point(tokens, ttft_ms=tokens)

    found = search(FormulaServers(surface), Objective(target_ttft_ms=150.0))
    assert found.best.value("max_num_batched_tokens") == 128


def test_a_candidate_that_fails_has_lost_and_nothing_else_is_lost() -> None:
    def surface(candidate: Candidate) -> Point:
        if candidate.value("max_num_batched_tokens") > 512:
            raise TrialFailed("not enough memory")
        return point(1000 * bump(candidate, "frontends", 2))

    found = search(FormulaServers(surface))
    assert found.best == DEFAULTS.changed({"frontends": 2})
    assert (Outcome.FAILED, "not enough memory") in [(one.outcome, one.failure) for one in found.comparisons]


def test_a_best_that_cannot_be_measured_again_ends_the_search_with_a_sentence() -> None:
    def surface(candidate: Candidate) -> Point:
        raise TrialFailed("gone")

    found = search(FormulaServers(surface))
    assert (found.best, found.is_complete) == (DEFAULTS, False)
    assert "gone" in found.trouble[0]


def test_when_the_time_is_up_the_best_so_far_stays() -> None:
    class Endless(FormulaServers):
        """From the fifth candidate on nothing ever answers."""

        async def __call__(self, candidate: Candidate, seconds: float, seed: int) -> Point:
            if candidate.value("workers") > 1:
                await asyncio.Event().wait()
            return await super().__call__(candidate, seconds, seed)

    async def run() -> Findings:
        servers = Endless(lambda candidate: point(1000 * bump(candidate, "max_num_batched_tokens", 1024)))
        found = Search(Duels(servers, Objective()), AXES, STAGES, asyncio.get_running_loop().time() + 0.05)
        await asyncio.wait_for(found.run(), DEADLINE_S)
        return found.findings

    found = asyncio.run(run())
    assert found.best == DEFAULTS.changed({"max_num_batched_tokens": 1024})
    assert not found.is_complete


def test_every_comparison_is_told_and_none_is_made_twice() -> None:
    told: list[Comparison] = []
    servers = FormulaServers(lambda candidate: point(1000 * bump(candidate, "frontends", 2)))

    async def run() -> Findings:
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        found = Search(Duels(servers, Objective()), AXES, STAGES, deadline, told.append)
        await found.run()
        return found.findings

    found = asyncio.run(run())
    assert told == found.comparisons
    tried = [(one.incumbent, one.challenger) for one in told]
    assert len(set(tried)) == len(tried)


def test_a_failing_incumbent_is_no_result_of_the_challenger() -> None:
    def surface(candidate: Candidate) -> Point:
        if candidate == DEFAULTS:
            raise TrialFailed("gone")
        return point(1.0)

    duels = Duels(FormulaServers(surface), Objective())
    with pytest.raises(IncumbentFailed, match="gone"):
        asyncio.run(duels.compare(DEFAULTS, DEFAULTS.changed({"workers": 2}), STAGES))
