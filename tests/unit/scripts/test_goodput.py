"""Which requests are good, and what that makes."""

import pytest

from scripts.load_testing.goodput import goodput, is_good
from scripts.load_testing.options import Targets
from scripts.load_testing.records import RequestRecord


def answered(ttft: float, gap: float, num_tokens: int) -> RequestRecord:
    """One that was due at 0 and answered."""
    record = RequestRecord(0.0)
    for number in range(num_tokens):
        record.text_came(ttft + number * gap)
    record.succeed(ttft + (num_tokens - 1) * gap)
    return record


def test_every_target_counts() -> None:
    record = answered(ttft=0.2, gap=0.05, num_tokens=5)
    assert is_good(record, Targets(ttft_ms=200, itl_ms=50.001, e2e_ms=400.001))
    assert not is_good(record, Targets(ttft_ms=199))
    assert not is_good(record, Targets(itl_ms=49))
    assert not is_good(record, Targets(e2e_ms=399))


def test_the_time_between_tokens_is_the_mean_of_the_request_by_the_servers_count() -> None:
    record = answered(ttft=0.2, gap=0.1, num_tokens=3)
    record.num_output_tokens = 5  # two of the events held two tokens
    assert is_good(record, Targets(itl_ms=51))


def test_targets_that_do_not_apply_are_kept() -> None:
    scored = RequestRecord(0.0, num_texts=4)
    scored.succeed(0.3)
    assert is_good(scored, Targets(ttft_ms=1, itl_ms=1))
    assert not is_good(scored, Targets(e2e_ms=299))
    assert is_good(answered(ttft=0.1, gap=0.0, num_tokens=1), Targets(itl_ms=1))


def test_goodput_counts_failures_as_missed_and_what_was_cut_off_not_at_all() -> None:
    failed, cut_off = RequestRecord(0.0), RequestRecord(0.0)
    failed.fail(0.1, "HTTP 500")
    records = [answered(0.1, 0.01, 10), answered(0.5, 0.01, 10), failed, cut_off]
    found = goodput(records, Targets(ttft_ms=200), elapsed_s=2.0)
    assert found is not None
    assert found.share == pytest.approx(1 / 3)
    assert found.requests_per_s == pytest.approx(0.5)
    assert found.output_tokens_per_s == pytest.approx(5.0)


def test_without_targets_there_is_no_goodput() -> None:
    assert goodput([answered(0.1, 0.01, 10)], Targets(), elapsed_s=1.0) is None
