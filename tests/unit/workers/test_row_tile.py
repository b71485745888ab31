"""Tiles of rows: what they cover, and that there is code for each."""

import pytest

from workers.linear.interface import MOST_FEW_ROWS
from workers.linear.row_tile import COMPACT, PLAIN, WeightRows, grouped_passes, passes_of, variants

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


@pytest.mark.parametrize("count", [1, 36, 63, 64, 65, 127, 128, 129, 200, 320, 1000])
def test_groups_cover_all_rows_and_the_first_is_the_largest(count: int) -> None:
    tiles, ends = grouped_passes(count, PLAIN)
    assert [first + r for first, rows, _, _ in tiles.tolist() for r in range(rows)] == list(range(count))
    assert all((rows, lines) in variants(PLAIN) for _, rows, _, lines in tiles.tolist())
    starts = [0, *ends.tolist()[:-1]]
    sizes = [sum(tiles[start:end, 1].tolist()) for start, end in zip(starts, ends.tolist(), strict=True)]
    assert max(sizes) == sizes[0] <= PLAIN.most_rows
    assert min(sizes) >= sizes[0] - 1
    # scratch memory is made for the first group's passes, each as large as its first
    assert max(end - start for start, end in zip(starts, ends.tolist(), strict=True)) == ends[0]
    assert max(tiles[:, 1].tolist()) == tiles[0, 1]


def test_few_rows_are_one_group() -> None:
    assert PLAIN.most_rows >= MOST_FEW_ROWS
