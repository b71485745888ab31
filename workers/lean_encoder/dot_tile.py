"""The processor's bfloat16 products inside compiled kernels: one tile of a product of matrices, kept in registers."""

import functools
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

TILE_ROWS = 8  # with TILE_COLUMNS: 16 vector registers of sums, enough to hide how long a product takes
TILE_COLUMNS = 32
_LANES = 16  # float32 numbers of a vector
_VECTORS = TILE_COLUMNS // _LANES
CPU_FLAG = "avx512_bf16"  # what a processor must have for this


@functools.cache
def has_products() -> bool:
    """The processor multiplies bfloat16 in the way `dot_tile` does."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and CPU_FLAG in cpuinfo.read_text().split()


class _BFloat(ir.Type):  # type: ignore[misc]  # llvmlite has no types
    """llvmlite has no name for it."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash("bfloat")


_INT, _FLOAT, _WORD = ir.IntType(64), ir.FloatType(), ir.IntType(32)
_WORDS, _SUMS, _PAIRS = ir.VectorType(_WORD, _LANES), ir.VectorType(_FLOAT, _LANES), ir.VectorType(_BFloat(), 32)


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
    product = builder.module.declare_intrinsic(
        "llvm.x86.avx512bf16.dpbf16ps.512", fnty=ir.FunctionType(_SUMS, [_SUMS, _PAIRS, _PAIRS])
    )
    before, loop, after = builder.block, builder.append_basic_block("depth"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(_INT)
    index.add_incoming(_INT(0), before)
    sums = [[builder.phi(_SUMS) for _ in range(_VECTORS)] for _ in range(TILE_ROWS)]
    columns = [
        builder.bitcast(_load(builder, builder.add(b, builder.mul(index, b_stride)), 64 * j, _WORDS), _PAIRS)
        for j in range(_VECTORS)
    ]
    place = builder.add(a, builder.shl(index, _INT(2)))
    for r, row in enumerate(sums):
        pair = _everywhere(builder, _load(builder, builder.add(place, builder.mul(a_stride, _INT(r))), 0, _WORD))
        for j, total in enumerate(row):
            total.add_incoming(ir.Constant(_SUMS, [0.0] * _LANES), before)
            total.add_incoming(builder.call(product, [total, pair, columns[j]]), loop)
    following = builder.add(index, _INT(1))
    index.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    for r, row in enumerate(sums):
        for j, total in enumerate(row):
            target = builder.add(builder.add(c, builder.mul(c_stride, _INT(r))), _INT(64 * j))
            builder.store(total.incomings[1][0], builder.inttoptr(target, _SUMS.as_pointer()), align=4)


def _load(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    return builder.load(builder.inttoptr(builder.add(address, _INT(offset)), kind.as_pointer()), align=4)


def _everywhere(builder: Any, word: Any) -> Any:
    """The word in every lane, as pairs."""
    one = builder.insert_element(ir.Constant(_WORDS, ir.Undefined), word, _WORD(0))
    lanes = ir.Constant(ir.VectorType(_WORD, _LANES), [0] * _LANES)
    return builder.bitcast(builder.shuffle_vector(one, ir.Constant(_WORDS, ir.Undefined), lanes), _PAIRS)
