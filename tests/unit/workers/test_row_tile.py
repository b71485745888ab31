"""Tiles of rows: what they cover, and that there is code for each."""

import pytest

from workers.linear.interface import MOST_FEW_ROWS
from workers.linear.row_tile import _VARIANTS, COMPACT, PLAIN, passes_of

COUNTS = range(1, MOST_FEW_ROWS + 1)
LINES = (PLAIN.lines, COMPACT.lines)


@pytest.mark.parametrize("row_lines", LINES)
@pytest.mark.parametrize("count", COUNTS)
def test_tiles_cover_all_rows_by_code_there_is(count: int, row_lines: int) -> None:
    passes = passes_of(count, row_lines)
    assert [first + r for first, rows, _, _ in passes for r in range(rows)] == list(range(count))
    assert max(rows for _, rows, _, _ in passes) == passes[0][1]
    assert all((rows, lines) in _VARIANTS for _, rows, _, lines in passes)


@pytest.mark.parametrize("row_lines", LINES)
@pytest.mark.parametrize("count", COUNTS)
def test_several_tiles_ask_for_each_line_once(count: int, row_lines: int) -> None:
    passes = passes_of(count, row_lines)
    asked = [line for *_, first, lines in passes for line in range(first, first + lines)]
    assert asked == (list(range(row_lines)) if len(passes) > 1 else list(range(len(asked))))
