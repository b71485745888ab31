"""The figures of known records."""

import pytest

from scripts.load_testing.figures import distribution, figures
from scripts.load_testing.records import RequestRecord


def ok_record(began: float, text_times: list[float], ended: float, num_prompt_tokens: int = 10) -> RequestRecord:
    record = RequestRecord(began, num_prompt_tokens=num_prompt_tokens)
    for now in text_times:
        record.text_came(now)
    record.succeed(ended)
    return record


def test_percentiles_are_interpolated() -> None:
    found = distribution([4.0, 1.0, 3.0, 2.0, 5.0])
    assert found is not None
    assert (found.p50, found.p90, found.p99, found.largest, found.mean) == pytest.approx((3.0, 4.6, 4.96, 5.0, 3.0))


def test_of_nothing_there_is_no_distribution() -> None:
    assert distribution([]) is None


def test_rates_and_latencies() -> None:
    records = [ok_record(0.0, [1.0, 1.5, 2.5], 3.0), ok_record(1.0, [2.0, 2.5], 3.5, num_prompt_tokens=20)]
    found = figures(records, elapsed_s=5.0, cpu_s=1.0)
    assert (found.num_ok, found.num_failed, found.num_cut_off) == (2, 0, 0)
    assert found.output_tokens_per_s == pytest.approx(1.0)
    assert found.input_tokens_per_s == pytest.approx(6.0)
    assert found.requests_per_s == pytest.approx(0.4)
    assert found.mean_prompt_tokens == 15.0
    assert found.client_cpu_share == pytest.approx(0.2)
    assert found.time_to_first_token_s is not None
    assert found.time_to_first_token_s.p50 == pytest.approx(1.0)
    assert found.inter_token_s is not None
    assert sorted([found.inter_token_s.p50, found.inter_token_s.largest]) == pytest.approx([0.5, 1.0])
    assert found.end_to_end_s is not None
    assert found.end_to_end_s.largest == pytest.approx(3.0)


def test_failures_are_counted_by_kind_and_leave_no_latency() -> None:
    records = [RequestRecord(0.0) for _ in range(3)]
    records[0].fail(1.0, "HTTP 429 queue_full", "first")
    records[1].fail(2.0, "HTTP 429 queue_full", "second")
    records[2].fail(3.0, "timeout after 3 s")
    found = figures(records, elapsed_s=4.0, cpu_s=0.1)
    assert found.num_failed == 3
    assert [(error.error, error.count, error.example) for error in found.errors] == [
        ("HTTP 429 queue_full", 2, "first"),
        ("timeout after 3 s", 1, ""),
    ]
    assert found.end_to_end_s is None
    assert found.output_tokens_per_s == 0.0


def test_what_was_cut_off_counts_with_the_tokens_it_had() -> None:
    cut_off = RequestRecord(0.0)
    for now in (0.5, 1.0):
        cut_off.text_came(now)
    found = figures([cut_off], elapsed_s=2.0, cpu_s=0.1)
    assert (found.num_ok, found.num_cut_off) == (0, 1)
    assert found.output_tokens_per_s == pytest.approx(1.0)
    assert found.time_to_first_token_s is not None
    assert found.end_to_end_s is None


def test_texts_count_when_their_request_succeeded() -> None:
    done, failed = RequestRecord(0.0, num_texts=16), RequestRecord(0.0, num_texts=16)
    done.succeed(1.0)
    failed.fail(1.0, "HTTP 500")
    found = figures([done, failed], elapsed_s=2.0, cpu_s=0.1)
    assert found.texts_per_s == pytest.approx(8.0)
    assert found.input_tokens_per_s is None
    assert found.mean_in_flight == pytest.approx(1.0)


def test_at_full_load_what_runs_out_at_the_end_does_not_count() -> None:
    records = []
    for began in (0.0, 1.0, 2.0, 3.0):
        record = ok_record(began, [began + 0.5, began + 1.0], began + 1.0)
        record.sent = began
        records.append(record)
    records[-1].ended = 13.0  # a long last one, alone
    full = figures(records, elapsed_s=13.0, cpu_s=0.1).full_load
    assert full is not None
    assert full.duration_s == pytest.approx(3.0)
    assert full.requests_per_s == pytest.approx(1.0)
    assert full.output_tokens_per_s == pytest.approx(2.0)


def test_a_load_that_was_whole_for_a_moment_only_has_no_rates_at_full_load() -> None:
    records = [ok_record(0.0, [1.0, 2.0], 2.0) for _ in range(4)]
    for record in records:
        record.sent = 0.0
    assert figures(records, elapsed_s=2.0, cpu_s=0.1).full_load is None


def test_what_the_client_offered_is_said() -> None:
    records = [ok_record(due, [due + 1], due + 1) for due in (0.5, 1.0, 2.0)]
    for record in records:
        record.sent = record.began + 0.1
    found = figures(records, elapsed_s=4.0, cpu_s=0.1)
    assert found.sent_late_s is not None
    assert found.sent_late_s.largest == pytest.approx(0.1)
    assert found.sent_per_s == pytest.approx(3 / 2.1)
