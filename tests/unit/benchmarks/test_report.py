"""The comparison's arithmetic and its text."""

import pytest

from benchmarks.overhead.comparison import BareRun, Comparison, ServerRun
from benchmarks.overhead.report import report
from benchmarks.overhead.timeline import Rates
from benchmarks.overhead.workload import RunOrder, Workload, make_prompts

WORKLOAD = Workload(
    model_path="m",
    dtype="bfloat16",
    attention="auto",
    threads=2,
    max_num_batched_tokens=512,
    prompt_tokens=16,
    output_tokens=100,
    most_streams=8,
)


def rates_of(decode: float, run: float, events_per_token: float = 1.0) -> Rates:
    return Rates(decode, run, 1.0, 2.0, events_per_token)


def comparison_of(foreign_cores: float = 0.0, events_per_token: float = 1.0) -> Comparison:
    cpu_s = {"worker": 1.6, "scheduler": 0.08, "frontend": 0.16, "supervisor": 0.0, "client": 0.08}
    return Comparison(
        8,
        bare=[BareRun(rates_of(bare, 2 * bare), 1.6, foreign_cores) for bare in (100.0, 200.0, 50.0)],
        server=[ServerRun(rates_of(80.0, 90.0, events_per_token), cpu_s, 0.0) for _ in range(3)],
        transformers=[],
    )


def test_ratios_are_of_runs_that_ran_one_after_the_other() -> None:
    found = comparison_of().decode_ratio
    assert (found.smallest, found.median, found.largest) == pytest.approx((0.4, 0.8, 1.6))
    assert comparison_of().run_ratio.median == pytest.approx(0.45)


def test_processor_time_is_told_by_token() -> None:
    assert comparison_of().server_cpu_ms_per_token("frontend", 100) == pytest.approx(0.2)
    assert comparison_of().bare_cpu_ms_per_token(100) == pytest.approx(2.0)


def test_the_report_names_what_disturbed_it() -> None:
    calm = report(WORKLOAD, [comparison_of()])
    assert "NOTE" not in calm
    assert "0.800" in calm
    assert "3 of 6 runs with 8 streams were disturbed" in report(WORKLOAD, [comparison_of(foreign_cores=0.5)])
    assert "0.50 events a token" in report(WORKLOAD, [comparison_of(events_per_token=0.5)])


def test_prompts_depend_on_the_seed_only() -> None:
    first = make_prompts(list(range(1000)), RunOrder(2, 8, seed=1), 16)
    assert first == make_prompts(list(range(1000)), RunOrder(2, 8, seed=1), 16)
    assert first != make_prompts(list(range(1000)), RunOrder(2, 8, seed=2), 16)
    assert [len(prompt) for prompt in first] == [16, 16]
    assert first[0] != first[1]
