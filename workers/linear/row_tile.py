"""A few rows times a weight that comes from memory: the sums stay in registers, the memory is asked for ahead."""

import functools
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
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
from workers.lean.compiled import INNER, pointer_to
from workers.linear.vnni import multiply_add

MOST_TILE_ROWS = 6  # with COLUMNS: 24 of the 32 vector registers hold sums
COLUMNS = 64
LINES = 4  # cache lines of a row of weights
CHUNK = 128  # rows of weights that all tiles multiply before the next: 32 KiB, which stay in the nearest caches
_VECTORS = COLUMNS // LANES
WORD_BYTES = 4
ROW_BYTES = COLUMNS * WORD_BYTES  # of a row of weights: for each column one word, of two or four numbers
LINE_BYTES = 64
# (rows, lines asked for ahead) there is code for: those that `passes_of` gives
_VARIANTS = (
    *((rows, 1) for rows in range(3, 7)),
    *((rows, 2) for rows in range(1, 7)),
    *((rows, 0) for rows in (5, 6)),
)


def passes_of(count: int) -> list[tuple[int, int, int, int]]:
    """How `count` rows are multiplied: tiles of (first row, rows, first line asked for ahead, such lines).

    The first tile has most rows. Several tiles together ask for each line once; for one tile the processor looks ahead
    itself, and only has to be helped from one page of memory to the next (measured: docs/experiment-log.md).
    """
    number = -(-count // MOST_TILE_ROWS)
    sizes = [count // number + (tile < count % number) for tile in range(number)]
    one = [2] if count <= 2 else [1]
    lines = {1: one, 2: [2, 2], 3: [2, 1, 1]}.get(number, [1] * LINES + [0] * (number - LINES))
    return [(sum(sizes[:tile]), sizes[tile], sum(lines[:tile]), lines[tile]) for tile in range(number)]


@functools.cache
def named_passes(count: int) -> npt.NDArray[np.int64]:
    """`passes_of` [passes, 4], kept for good: kernels' jobs name its memory."""
    return np.array(passes_of(count), np.int64)


def _row_tile(multiply: Any, sums: Any) -> Any:
    """Makes an intrinsic of (rows, lines, a, a_stride, b, ahead, depth, c).

    C [rows, COLUMNS] += A [rows, depth] B [depth, COLUMNS], where A and B consist of words that hold a few numbers
    each: `multiply` adds their products to C's numbers, 16 words at once, of the vector type `sums`. A lies row by row,
    `a_stride` bytes apart, B and C without gaps. For each row of B `lines` cache lines from `ahead` on are asked for,
    and `ahead` moves on by a row. Addresses; depth at least 1; (rows, lines) as `passes_of` gives them: of others
    nothing comes.
    """

    @intrinsic
    def tile(
        typing_context: Any, rows: Any, lines: Any, a: Any, a_stride: Any, b: Any, ahead: Any, depth: Any, c: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows, lines, *places = arguments
            done = builder.append_basic_block("tile_done")
            key = builder.add(builder.mul(rows, INT(LINES + 1)), lines)
            switch = builder.switch(key, done)
            for variant in _VARIANTS:
                block = builder.append_basic_block("tile")
                switch.add_case(INT(variant[0] * (LINES + 1) + variant[1]), block)
                builder.position_at_end(block)
                _generate(builder, multiply, sums, *variant, *places)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        word = types.int64
        return types.none(word, word, types.uintp, word, types.uintp, types.uintp, word, types.uintp), generate

    return tile


def _multiply_pairs(builder: Any, total: Any, given: Any, weights: Any) -> Any:
    return builder.call(
        declare_product(builder), [total, builder.bitcast(given, PAIRS), builder.bitcast(weights, PAIRS)]
    )


def _walk(tile: Any) -> Any:
    """Makes a compiled function (rows, row bytes, weight, following, depth, passes, sums).

    Rows that lie `row bytes` apart times one block of COLUMNS outputs, `depth` rows of words, to sums [passes, rows,
    COLUMNS]. `passes` is the address of `named_passes`; `following` that of the block this thread multiplies next.
    """

    @numba.njit(**INNER)
    def walk(rows_at: Any, row_bytes: Any, weight: Any, following: Any, depth: Any, passes: Any, sums: Any) -> None:
        tiles = numba.carray(pointer_to(passes), (sums.shape[0], 4), np.int64)
        sums[:] = 0
        for start in range(0, depth, CHUNK):
            end = min(start + CHUNK, depth)
            ahead = weight + np.uintp(end * ROW_BYTES) if end < depth else following
            for index in range(sums.shape[0]):
                first, rows, line, lines = tiles[index]
                tile(
                    rows,
                    lines,
                    rows_at + np.uintp(first * row_bytes + start * WORD_BYTES),
                    row_bytes,
                    weight + np.uintp(start * ROW_BYTES),
                    ahead + np.uintp(line * LINE_BYTES),
                    end - start,
                    np.uintp(sums[index].ctypes.data),
                )

    return walk


# Words of two bfloat16 numbers, float32 sums; words of four unsigned bytes of A and signed ones of B, int32 sums.
multiply_pairs, multiply_bytes = _walk(_row_tile(_multiply_pairs, SUMS)), _walk(_row_tile(multiply_add, WORDS))


def _generate(
    builder: Any, multiply: Any, kind: Any, rows: int, lines: int, a: Any, a_stride: Any, b: Any, ahead: Any,
    depth: Any, c: Any
) -> None:  # fmt: skip
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("stored")
    places = [
        [_vector_at(builder, kind, c, r * ROW_BYTES + LINE_BYTES * j) for j in range(_VECTORS)] for r in range(rows)
    ]
    begun = [[builder.load(place, align=4) for place in row] for row in places]
    starts = [builder.add(a, builder.mul(a_stride, INT(r))) for r in range(rows)]
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(INT)
    index.add_incoming(INT(0), before)
    sums = [[builder.phi(kind) for _ in range(_VECTORS)] for _ in range(rows)]
    offset = builder.mul(index, INT(ROW_BYTES))
    for line in range(lines):
        ask_for(builder, builder.add(builder.add(ahead, offset), INT(line * LINE_BYTES)))
    row_at = builder.add(b, offset)
    columns = [load_at(builder, row_at, LINE_BYTES * j, WORDS) for j in range(_VECTORS)]
    word_at = builder.shl(index, INT(2))
    for start, row, first in zip(starts, sums, begun, strict=True):
        given = in_every_lane(builder, load_at(builder, builder.add(start, word_at), 0, WORD))
        for total, at_first, column in zip(row, first, columns, strict=True):
            total.add_incoming(at_first, before)
            total.add_incoming(multiply(builder, total, given, column), loop)
    following = builder.add(index, INT(1))
    index.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    for row, targets in zip(sums, places, strict=True):
        for total, target in zip(row, targets, strict=True):
            builder.store(total.incomings[1][0], target, align=4)


def _vector_at(builder: Any, kind: Any, address: Any, offset: int) -> Any:
    return builder.inttoptr(builder.add(address, INT(offset)), kind.as_pointer())
