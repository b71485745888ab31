"""The processor's bfloat16 products inside compiled kernels: one tile of a product of matrices, kept in registers."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workers.lean.bfloat16_products import INT, LANES, PAIRS, SUMS, WORD, WORDS, declare_product, in_every_lane, load_at

TILE_ROWS = 8  # with TILE_COLUMNS: 16 vector registers of sums, enough to hide how long a product takes
TILE_COLUMNS = 32
_VECTORS = TILE_COLUMNS // LANES


@intrinsic
def dot_tile(
    typing_context: Any, a: Any, a_stride: Any, b: Any, b_stride: Any, depth: Any, c: Any, c_stride: Any
) -> Any:
    """C float32 [TILE_ROWS, TILE_COLUMNS] = A [TILE_ROWS, 2 * depth] B [2 * depth, TILE_COLUMNS], A and B bfloat16.

    A lies row by row. B lies in rows of pairs: row i holds, for each column, B's numbers 2i and 2i + 1. Addresses, and
    strides between rows in bytes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _generate(builder, *arguments)
        return context.get_dummy_value()

    word = types.int64
    return types.none(types.uintp, word, types.uintp, word, word, types.uintp, word), generate


def _generate(builder: Any, a: Any, a_stride: Any, b: Any, b_stride: Any, depth: Any, c: Any, c_stride: Any) -> None:
    product = declare_product(builder)
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(INT)
    index.add_incoming(INT(0), before)
    sums = [[builder.phi(SUMS) for _ in range(_VECTORS)] for _ in range(TILE_ROWS)]
    columns = [
        builder.bitcast(load_at(builder, builder.add(b, builder.mul(index, b_stride)), 64 * j, WORDS), PAIRS)
        for j in range(_VECTORS)
    ]
    place = builder.add(a, builder.shl(index, INT(2)))
    for r, row in enumerate(sums):
        word = load_at(builder, builder.add(place, builder.mul(a_stride, INT(r))), 0, WORD)
        pair = builder.bitcast(in_every_lane(builder, word), PAIRS)
        for j, total in enumerate(row):
            total.add_incoming(ir.Constant(SUMS, [0.0] * LANES), before)
            total.add_incoming(builder.call(product, [total, pair, columns[j]]), loop)
    following = builder.add(index, INT(1))
    index.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    for r, row in enumerate(sums):
        for j, total in enumerate(row):
            target = builder.add(builder.add(c, builder.mul(c_stride, INT(r))), INT(64 * j))
            builder.store(total.incomings[1][0], builder.inttoptr(target, SUMS.as_pointer()), align=4)
