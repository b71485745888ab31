"""Tiles of rows: what they cover, and that there is code for each."""

import pytest

from workers.linear.interface import MOST_FEW_ROWS
from workers.linear.row_tile import COMPACT, PLAIN, WeightRows, passes_of, variants

CASES = [(weights, count) for weights in (PLAIN, COMPACT) for count in range(1, weights.most_rows + 1)]


@pytest.mark.parametrize(("weights", "count"), CASES)
def test_tiles_cover_all_rows_by_code_there_is(weights: WeightRows, count: int) -> None:
    passes = passes_of(count, weights.lines)
    assert [first + r for first, rows, _, _ in passes for r in range(rows)] == list(range(count))
    assert max(rows for _, rows, _, _ in passes) == passes[0][1] <= 6
    assert all((rows, lines) in variants(weights) for _, rows, _, lines in passes)


@pytest.mark.parametrize(("weights", "count"), CASES)
def test_several_tiles_ask_for_each_line_once(weights: WeightRows, count: int) -> None:
    passes = passes_of(count, weights.lines)
    asked = [line for *_, first, lines in passes for line in range(first, first + lines)]
    assert asked == (list(range(weights.lines)) if len(passes) > 1 else list(range(len(asked))))


def test_there_is_code_for_all_few_rows() -> None:
    assert MOST_FEW_ROWS == PLAIN.most_rows >= COMPACT.most_rows
