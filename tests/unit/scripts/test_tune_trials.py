"""From a load's figures to a point of `scripts/tune`, and how its loads are sized."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from scripts.load_testing.figures import Figures, figures
from scripts.load_testing.options import LoadOptions, Targets, load_options
from scripts.load_testing.records import Outcome, RequestRecord
from scripts.tuning import trials
from scripts.tuning.candidate import DEFAULTS, Candidate
from scripts.tuning.objective import TrialFailed
from scripts.tuning.trial_servers import TrialServers
from scripts.tuning.trials import Trials, point_of, throughput_unit


def answered(num_requests: int, seconds: float) -> Figures:
    """So many requests of 11 tokens at once, each with its first token after half of the time."""
    middle = seconds / 2
    record = RequestRecord(0.0, outcome=Outcome.OK, first_text=middle, last_text=seconds, ended=seconds)
    record.num_output_tokens = 11
    return figures([record] * num_requests, seconds, 0.0, Targets(ttft_ms=1e6))


def test_a_point_holds_rates_and_90th_percentiles() -> None:
    point = point_of(answered(10, 2.0), load_options(workload="chat"))
    assert (point.throughput, point.goodput, point.num_requests, point.seconds) == (55.0, 5.0, 10, 2.0)
    assert (point.ttft_ms, point.itl_ms, point.end_to_end_ms) == pytest.approx((1000.0, 100.0, 2000.0))


def test_failed_requests_are_no_point() -> None:
    record = RequestRecord(0.0, outcome=Outcome.FAILED, error="HTTP 500", error_detail="oh")
    with pytest.raises(TrialFailed, match="1 of 1 requests failed: 1 x HTTP 500 oh"):
        point_of(figures([record], 1.0, 0.0), load_options())


def test_units() -> None:
    assert throughput_unit(load_options(workload="mixed")) == "output tokens/s"
    assert throughput_unit(load_options(workload="score")) == "pairs/s"
    assert throughput_unit(load_options(workload="embed")) == "texts/s"


@dataclass
class Kept:
    """Servers that are all there but those of `missing`."""

    missing: set[Candidate] = field(default_factory=set)
    discarded: list[Candidate] = field(default_factory=list)

    def runs(self, candidate: Candidate) -> bool:
        return candidate not in self.missing

    async def url(self, candidate: Candidate) -> str:
        self.missing.discard(candidate)
        return "http://nowhere"

    async def discard(self, candidate: Candidate) -> None:
        self.discarded.append(candidate)


def test_loads_are_sized_by_the_defaults_and_no_words_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[LoadOptions] = []

    async def measured(load: LoadOptions, url: str) -> Figures:
        loads.append(load)
        return answered(load.num_requests, load.num_requests / 10)  # 10 a second

    monkeypatch.setattr(trials, "measure", measured)
    other = DEFAULTS.changed({"workers": 2})
    servers = Kept({other})
    found = Trials(cast(TrialServers, servers), load_options(concurrency=4), 100.0, lambda text: None)

    async def run() -> None:
        await found.probe()
        assert found.shortest_s == pytest.approx(0.8)
        await found(DEFAULTS, 5.0, 1)
        await found(other, 5.0, 1)
        await found(other, 0.1, 2)

    asyncio.run(run())
    assert [load.num_requests for load in loads] == [8, 8, 50, 4, 50, 8]  # the 4 are another server's warm-up
    assert [load.salt for load in loads] == ["probe", "again", "1", "warm-up 1", "1", "2"]
    assert len(found.points) == 3
    assert servers.discarded == []


def test_a_server_that_answers_too_late_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(load: LoadOptions, url: str) -> Figures:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    monkeypatch.setattr(trials, "measure", endless)
    servers = Kept()
    found = Trials(cast(TrialServers, servers), load_options(concurrency=4), 0.01, lambda text: None)
    with pytest.raises(TrialFailed, match="8 requests took more than"):
        asyncio.run(found.probe())
    assert servers.discarded == [DEFAULTS]
