"""A few rows times a weight that comes from memory: the sums stay in registers, the memory is asked for ahead."""

from typing import Any

from numba import types
from numba.extending import intrinsic

from workers.lean.bfloat16_products import (
    INT,
    LANES,
    PAIRS,
    SUMS,
    WORD,
    WORDS,
    ask_for,
    declare_product,
    in_every_lane,
    load_at,
)

MOST_TILE_ROWS = 6  # with COLUMNS: 24 of the 32 vector registers hold sums
COLUMNS = 64
LINES = 4  # cache lines of a row of pairs
_VECTORS = COLUMNS // LANES
_ROW_BYTES = COLUMNS * 4
_LINE_BYTES = 64
# (rows, lines asked for ahead) there is code for: those that `passes_of` gives
_VARIANTS = (*((rows, 4) for rows in range(1, 7)), (4, 2), (5, 2), (6, 2), (5, 1), (6, 1), (5, 0), (6, 0))


def passes_of(count: int) -> list[tuple[int, int, int, int]]:
    """How `count` rows are multiplied: tiles of (first row, rows, first line asked for ahead, such lines).

    Tiles may overlap. All tiles together ask for each line once.
    """
    number = -(-count // MOST_TILE_ROWS)
    rows = -(-count // number)
    lines = {1: [4], 2: [2, 2], 3: [2, 1, 1]}.get(number, [1] * 4 + [0] * (number - 4))
    firsts = [min(tile * rows, count - rows) for tile in range(number)]
    return [(first, rows, sum(lines[:tile]), lines[tile]) for tile, first in enumerate(firsts)]


@intrinsic
def row_tile(
    typing_context: Any, rows: Any, lines: Any, a: Any, a_stride: Any, b: Any, ahead: Any, depth: Any, c: Any
) -> Any:
    """C float32 [rows, COLUMNS] += A [rows, 2 * depth] B [2 * depth, COLUMNS], A and B bfloat16.

    A lies row by row, `a_stride` bytes apart. B lies in rows of pairs, one after the other: row i holds, for each
    column, B's numbers 2i and 2i + 1. For each row of B `lines` cache lines from `ahead` on are asked for, and `ahead`
    moves on by a row. Addresses; depth at least 1; (rows, lines) as `passes_of` gives them: of others nothing comes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, lines, *places = arguments
        done = builder.append_basic_block("tile_done")
        key = builder.add(builder.mul(rows, INT(LINES + 1)), lines)
        switch = builder.switch(key, done)
        for variant in _VARIANTS:
            block = builder.append_basic_block("tile")
            switch.add_case(INT(variant[0] * (LINES + 1) + variant[1]), block)
            builder.position_at_end(block)
            _generate(builder, *variant, *places)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    word = types.int64
    return types.none(word, word, types.uintp, word, types.uintp, types.uintp, word, types.uintp), generate


def _generate(
    builder: Any, rows: int, lines: int, a: Any, a_stride: Any, b: Any, ahead: Any, depth: Any, c: Any
) -> None:
    product = declare_product(builder)
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("stored")
    places = [[_vector_at(builder, c, r * _ROW_BYTES + _LINE_BYTES * j) for j in range(_VECTORS)] for r in range(rows)]
    begun = [[builder.load(place, align=4) for place in row] for row in places]
    starts = [builder.add(a, builder.mul(a_stride, INT(r))) for r in range(rows)]
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(INT)
    index.add_incoming(INT(0), before)
    sums = [[builder.phi(SUMS) for _ in range(_VECTORS)] for _ in range(rows)]
    offset = builder.mul(index, INT(_ROW_BYTES))
    for line in range(lines):
        ask_for(builder, builder.add(builder.add(ahead, offset), INT(line * _LINE_BYTES)))
    row_at = builder.add(b, offset)
    columns = [builder.bitcast(load_at(builder, row_at, _LINE_BYTES * j, WORDS), PAIRS) for j in range(_VECTORS)]
    pair_at = builder.shl(index, INT(2))
    for start, row, first in zip(starts, sums, begun, strict=True):
        pair = in_every_lane(builder, load_at(builder, builder.add(start, pair_at), 0, WORD))
        for total, at_first, column in zip(row, first, columns, strict=True):
            total.add_incoming(at_first, before)
            total.add_incoming(builder.call(product, [total, pair, column]), loop)
    following = builder.add(index, INT(1))
    index.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    for row, targets in zip(sums, places, strict=True):
        for total, target in zip(row, targets, strict=True):
            builder.store(total.incomings[1][0], target, align=4)


def _vector_at(builder: Any, address: Any, offset: int) -> Any:
    return builder.inttoptr(builder.add(address, INT(offset)), SUMS.as_pointer())
