"""Rows times a weight that comes from memory: the sums stay in registers, the memory is asked for ahead."""

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from workers.lean.bfloat16_products import (
    INT,
    PAIRS,
    SUMS,
    WORD,
    WORDS,
    ask_for,
    declare_product,
    in_every_lane,
    load_at,
)
from workers.lean.compiled import INNER
from workers.linear.vnni import multiply_add
from workers.linear.weight_rows import COLUMNS, LINE_BYTES, VECTORS, CompactRows, PlainRows

MOST_TILE_ROWS = 6  # with COLUMNS: 24 of the 32 vector registers hold sums
WORD_BYTES = 4
_SUM_BYTES = COLUMNS * WORD_BYTES  # of a row of sums
WeightRows = PlainRows | CompactRows
PLAIN, COMPACT = PlainRows(), CompactRows()
MOST_LINES = PLAIN.lines


def passes_of(count: int, row_lines: int) -> list[tuple[int, int, int, int]]:
    """How `count` rows are multiplied: tiles of (first row, rows, first line asked for ahead, such lines).

    `row_lines` are the cache lines of a row of weights. The first tile has most rows. Several tiles together ask for
    each line once; for one tile the processor looks ahead itself, and only has to be helped from one page of memory to
    the next (measured: docs/experiment-log.md).
    """
    number = -(-count // MOST_TILE_ROWS)
    sizes = [count // number + (tile < count % number) for tile in range(number)]
    lines = [row_lines // number + (tile < row_lines % number) for tile in range(number)]
    if number == 1:
        lines = [2] if count <= 2 and row_lines == MOST_LINES else [1]
    return [(sum(sizes[:tile]), sizes[tile], sum(lines[:tile]), lines[tile]) for tile in range(number)]


class Passes(NamedTuple):
    """How rows are multiplied, group after group. Kernels' jobs name this memory."""

    tiles: npt.NDArray[np.int64]  # [passes, 4], see `passes_of`
    ends: npt.NDArray[np.int64]  # [groups] where each group's passes end; the first group has most


@functools.lru_cache(maxsize=1024)
def grouped_passes(count: int, weights: WeightRows) -> Passes:
    """`passes_of` for any number of rows: in groups of `weights.most_rows` at most, which threads share."""
    groups = -(-count // weights.most_rows)
    tiles: list[tuple[int, int, int, int]] = []
    ends, first = [], 0
    for group in range(groups):
        size = count // groups + (group < count % groups)
        tiles += [(first + row, rows, line, lines) for row, rows, line, lines in passes_of(size, weights.lines)]
        ends.append(len(tiles))
        first += size
    return Passes(np.array(tiles, np.int64), np.array(ends, np.int64))


def variants(weights: WeightRows) -> list[tuple[int, int]]:
    """(rows, lines asked for ahead) of tiles that there must be code for."""
    counts = range(1, weights.most_rows + 1)  # of a group
    return sorted({(rows, lines) for count in counts for _, rows, _, lines in passes_of(count, weights.lines)})


def block_bytes(weights: WeightRows, depth: int) -> int:
    """Bytes of `depth` rows of weights with their heads."""
    return depth * weights.lines * LINE_BYTES + -(-depth // weights.chunk) * weights.head_bytes


def _row_tile(multiply: Any, sums: Any, weights: WeightRows) -> Any:
    """Makes an intrinsic of (rows, lines, a, a_stride, b, ahead, depth, c).

    C [rows, COLUMNS] += A [rows, depth] B [depth, COLUMNS], where A and B consist of words that hold a few numbers
    each: `multiply` adds their products to C's numbers, 16 words at once, of the vector type `sums`. A lies row by row,
    `a_stride` bytes apart, C without gaps, B as `weights` says, with its head. For each row of B `lines` cache lines
    from `ahead` on are asked for, and `ahead` moves on by a row. Addresses; depth from 1 to a chunk; (rows, lines) as
    `passes_of` gives them: of others nothing comes.
    """

    @intrinsic
    def tile(
        typing_context: Any, rows: Any, lines: Any, a: Any, a_stride: Any, b: Any, ahead: Any, depth: Any, c: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows, lines, *places = arguments
            done = builder.append_basic_block("tile_done")
            key = builder.add(builder.mul(rows, INT(MOST_LINES + 1)), lines)
            switch = builder.switch(key, done)
            for variant in variants(weights):
                block = builder.append_basic_block("tile")
                switch.add_case(INT(variant[0] * (MOST_LINES + 1) + variant[1]), block)
                builder.position_at_end(block)
                _generate(builder, multiply, sums, weights, *variant, *places)
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


def _walk(multiply: Any, kind: Any, weights: WeightRows) -> Any:
    """Makes a compiled function (rows, row bytes, weight, following, depth, tiles, sums).

    Rows that lie `row bytes` apart times one block of COLUMNS outputs, `depth` rows of words, to sums [passes, rows,
    COLUMNS]. `tiles` int64 [passes, 4] are those of a group of rows; `following` is the address of the block this
    thread multiplies next.
    """
    rows_at_once = weights.chunk
    tile, chunk_bytes = _row_tile(multiply, kind, weights), block_bytes(weights, rows_at_once)

    @numba.njit(**INNER)
    def walk(rows_at: Any, row_bytes: Any, weight: Any, following: Any, depth: Any, tiles: Any, sums: Any) -> None:
        sums[:] = 0
        chunk = weight
        for start in range(0, depth, rows_at_once):
            end = min(start + rows_at_once, depth)
            after = chunk + np.uintp(chunk_bytes)
            ahead = after if end < depth else following
            for index in range(sums.shape[0]):
                first, rows, line, lines = tiles[index]
                tile(
                    rows,
                    lines,
                    rows_at + np.uintp(first * row_bytes + start * WORD_BYTES),
                    row_bytes,
                    chunk,
                    ahead + np.uintp(line * LINE_BYTES),
                    end - start,
                    np.uintp(sums[index].ctypes.data),
                )
            chunk = after

    return walk


# Words of two bfloat16 numbers, float32 sums; words of four unsigned bytes of A and signed ones of B, int32 sums.
multiply_pairs = _walk(_multiply_pairs, SUMS, PLAIN)
multiply_compact_pairs = _walk(_multiply_pairs, SUMS, COMPACT)
multiply_bytes = _walk(multiply_add, WORDS, PLAIN)


def _generate(
    builder: Any, multiply: Any, kind: Any, weights: WeightRows, rows: int, lines: int, a: Any, a_stride: Any, b: Any,
    ahead: Any, depth: Any, c: Any
) -> None:  # fmt: skip
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("stored")
    places = [
        [_vector_at(builder, kind, c, r * _SUM_BYTES + LINE_BYTES * j) for j in range(VECTORS)] for r in range(rows)
    ]
    begun = [[builder.load(place, align=4) for place in row] for row in places]
    starts = [builder.add(a, builder.mul(a_stride, INT(r))) for r in range(rows)]
    begun_row, first_row = weights.begin(builder, b), builder.add(b, INT(weights.head_bytes))
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(INT)
    index.add_incoming(INT(0), before)
    sums = [[builder.phi(kind) for _ in range(VECTORS)] for _ in range(rows)]
    offset = builder.mul(index, INT(weights.lines * LINE_BYTES))
    for line in range(lines):
        ask_for(builder, builder.add(builder.add(ahead, offset), INT(line * LINE_BYTES)))
    columns = weights.read(builder, builder.add(first_row, offset), begun_row)
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
