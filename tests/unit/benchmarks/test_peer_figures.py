"""Figures of a run, ratios of neighbours in time, and what does not count."""

import math

import pytest

from benchmarks.peers.figures import (
    DISTURBED_CORES,
    Figures,
    Run,
    agreement,
    check_answer,
    counted_runs,
    figures_of,
    percentile,
    ratio_of,
    score_distance,
    spread_of,
)
from benchmarks.peers.orders import Answer, Order, Request, RequestTimes, Usage

QUIET = Usage(seconds=1.0, peer_cores=2.0, foreign_cores=0.0, stolen_cores=0.0)
ORDER = Order("generate", 2, 3, [Request("a b", 2), Request("c d", 2)])


def stream(began: float, shown: list[float], output_tokens: int = 3, prompt_tokens: int = 2) -> RequestTimes:
    gaps = [shown[i + 1] - shown[i] for i in range(len(shown) - 1)]
    return RequestTimes(began, shown[0], shown[-1], gaps, output_tokens, prompt_tokens)


def run_of(
    peer: str,
    number: int,
    rate: float,
    foreign: float = 0.0,
    attempt: int = 0,
    seed: int = 1,
    sample: str = "",
    scores: list[float] | None = None,
) -> Run:
    figures = Figures(rate, 100 / rate, 0, 0, 0, 0, 1)
    return Run(peer, "cell", number, attempt, figures, foreign, 0.0, 2.0, seed, "", sample, scores or [])


def test_a_run_is_timed_from_its_first_request_to_its_last_token() -> None:
    answer = Answer([stream(0.5, [1.0, 1.5, 2.0]), stream(0.5, [1.5, 2.0, 3.5])], QUIET)
    found = figures_of(ORDER, answer)
    assert found.rate == pytest.approx(6 / 3.0)
    assert found.first_p50 == pytest.approx(750)
    assert found.gap_p50 == pytest.approx(500)
    assert found.token_p50 == pytest.approx(750)


def test_scores_count_as_pairs() -> None:
    order = Order("score", 1, 0, [Request("q", 9, ["a", "b", "c"])])
    answer = Answer([RequestTimes(0.0, 2.0, 2.0, [], 0, 9, scores=[0.1, 0.2, 0.3])], QUIET)
    check_answer(order, answer)
    assert figures_of(order, answer).rate == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([stream(0, [1, 2, 3])], "1 of 2 requests"),
        ([stream(0, [1, 2, 3]), stream(0, [1, 2], output_tokens=2)], "2 tokens made, 3 ordered"),
        ([stream(0, [1, 2, 3]), stream(0, [1, 2], prompt_tokens=1)], "counted as 1"),
        ([stream(0, [1, 2, 3]), stream(0, [1, 2], prompt_tokens=5)], "counted as 5"),
    ],
)
def test_an_answer_that_is_not_what_was_ordered_is_refused(requests: list[RequestTimes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_answer(ORDER, Answer(requests, QUIET))


def test_a_prompt_may_have_a_begin_mark_more() -> None:
    check_answer(ORDER, Answer([stream(0, [1, 2, 3], prompt_tokens=3)] * 2, QUIET))


def test_percentiles_lie_between_their_neighbours() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == pytest.approx(2.5)
    assert percentile([1.0, 2.0], 99) == pytest.approx(1.99)
    assert percentile([], 50) == 0.0


def test_quartiles() -> None:
    found = spread_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.low, found.median, found.high, found.count) == (2.0, 3.0, 4.0, 5)
    with pytest.raises(ValueError, match="no values"):
        spread_of([])


def test_ratios_are_of_runs_of_one_round() -> None:
    """The machine slows down by half from the first round to the second: the ratio does not see it."""
    runs = [run_of("ours", 0, 100), run_of("vllm", 0, 80), run_of("ours", 1, 50), run_of("vllm", 1, 40)]
    found = ratio_of(runs, "ours", "vllm", "cell", "rate")
    assert found is not None
    assert (found.spread.low, found.spread.high, found.spread.count) == (1.25, 1.25, 2)
    first = ratio_of(runs, "ours", "vllm", "cell", "first_p50")
    assert first is not None
    assert first.spread.median == pytest.approx(0.8)


def test_pairs_with_a_disturbed_run_are_left_out() -> None:
    busy = DISTURBED_CORES + 0.01
    runs = [run_of("ours", 0, 100), run_of("vllm", 0, 10, foreign=busy), run_of("ours", 1, 60), run_of("vllm", 1, 40)]
    found = ratio_of(runs, "ours", "vllm", "cell", "rate")
    assert found is not None
    assert (found.spread.median, found.spread.count, found.is_disturbed) == (1.5, 1, False)


def test_without_a_calm_pair_all_are_taken_and_it_is_said() -> None:
    runs = [run_of("ours", 0, 100, foreign=0.5), run_of("vllm", 0, 50)]
    found = ratio_of(runs, "ours", "vllm", "cell", "rate")
    assert found is not None
    assert found.is_disturbed


def test_no_common_round_no_ratio() -> None:
    assert ratio_of([run_of("ours", 0, 1), run_of("vllm", 1, 1)], "ours", "vllm", "cell", "rate") is None


def test_of_repeated_runs_the_least_disturbed_one_counts() -> None:
    runs = [run_of("ours", 0, 10, foreign=0.9), run_of("ours", 0, 30, foreign=0.2, attempt=1)]
    assert counted_runs(runs, "ours", "cell")[0].figures.rate == 30
    assert counted_runs(list(reversed(runs)), "ours", "cell")[0].figures.rate == 30


def test_a_figure_that_is_zero_gives_no_number() -> None:
    found = ratio_of([run_of("ours", 0, 1), run_of("vllm", 0, 1)], "ours", "vllm", "cell", "gap_p50")
    assert found is not None
    assert math.isnan(found.spread.median)


def test_texts_of_the_same_prompt_are_compared_up_to_where_they_part() -> None:
    mine, other = run_of("ours", 0, 1, sample=" abcdefgh"), run_of("vllm", 0, 1, sample="abcxefgh")
    assert agreement(mine, other) == pytest.approx(3 / 8)
    assert agreement(mine, mine) == 1.0
    assert agreement(mine, run_of("vllm", 0, 1, sample="abc", seed=2)) is None
    assert agreement(mine, run_of("vllm", 0, 1)) is None


def test_scores_of_the_same_pairs_are_compared() -> None:
    mine, other = run_of("ours", 0, 1, scores=[0.5, 0.25]), run_of("vllm", 0, 1, scores=[0.5, 0.75])
    assert score_distance(mine, other) == 0.5
    assert score_distance(mine, run_of("vllm", 0, 1, scores=[0.5, 0.75], seed=2)) is None
