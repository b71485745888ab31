"""How rows of weights lie in memory, and the code that brings one into vector registers.

A row holds one word, of two or four numbers, for each of 64 outputs. Rows follow one another; where there is a head,
each chunk begins with one. A chunk's rows are those that all tiles multiply before the next: they stay in the nearest
caches.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from workers.lean.bfloat16_products import LANES, WORDS, load_at

COLUMNS = 64  # outputs of a row
LINE_BYTES = 64  # of a cache line
VECTORS = COLUMNS // LANES  # of a row
_BYTES, _HALVES = ir.VectorType(ir.IntType(8), 64), ir.VectorType(ir.IntType(16), 32)
_LANE_BYTES = 16  # within which the processor interleaves bytes


class PlainRows:
    """Words as they are multiplied."""

    lines = 4  # cache lines of a row
    head_bytes = 0
    chunk = 256  # rows
    most_rows = 64  # that are multiplied together

    def begin(self, builder: Any, head: Any) -> Any:
        """What `read` wants to know of the rows after the head at this address."""
        return None

    def read(self, builder: Any, row: Any, begun: Any) -> list[Any]:
        """The row at this address, as VECTORS vectors of words."""
        return [load_at(builder, row, LINE_BYTES * j, WORDS) for j in range(VECTORS)]


CORRECTION = np.dtype([("input", np.int32), ("output", np.int32), ("weight", np.float32)])  # output: of the block


class CompactAddresses(NamedTuple):
    """Where a compact weight lies; see `compact_weight.py`."""

    blocks: int
    ends: int
    corrections: int


class CompactRows:
    """Pairs of bfloat16 numbers in 12 bits each: 128 lower bytes, and 64 bytes with two codes of upper bytes each.

    The head has the upper bytes by code; what has none of them is a CORRECTION. Byte `i` of the codes belongs, by its
    lower half, to the number whose lower byte is byte `i`, and by its upper half to that of byte 64 + `i`; `place_of`
    says which number that is.
    """

    lines = 3
    chunk = 128
    most_rows = 8  # with more the processor is the limit, and corrections cost more with every row
    head_bytes = 64  # 16 upper bytes, four times: the processor looks up within 16 bytes

    def begin(self, builder: Any, head: Any) -> Any:
        """See `PlainRows`."""
        return load_at(builder, head, 0, _BYTES)

    def read(self, builder: Any, row: Any, begun: Any) -> list[Any]:
        """See `PlainRows`."""
        codes = load_at(builder, row, 2 * LINE_BYTES, _BYTES)
        moved = builder.lshr(builder.bitcast(codes, _HALVES), ir.Constant(_HALVES, [4] * 32))
        look_up = _declare_look_up(builder)
        vectors = []
        for line, halves in enumerate((codes, builder.bitcast(moved, _BYTES))):
            lower = load_at(builder, row, line * LINE_BYTES, _BYTES)
            upper = builder.call(look_up, [begun, builder.and_(halves, ir.Constant(_BYTES, [15] * 64))])
            for half in range(2):
                numbers = builder.shuffle_vector(lower, upper, _interleaved(half))
                vectors.append(builder.bitcast(numbers, WORDS))
        return vectors


def place_of(number: int) -> int:
    """Which byte of a line belongs to one of the 64 numbers that the line and its codes make; see `CompactRows`."""
    half, rest = divmod(number, 32)
    lane, byte = divmod(rest, _LANE_BYTES // 2)
    return lane * _LANE_BYTES + half * (_LANE_BYTES // 2) + byte


def _interleaved(half: int) -> Any:
    """One instruction's order: of each lane of both vectors the lower or upper half, byte by byte."""
    places = [place_of(32 * half + number) + 64 * vector for number in range(32) for vector in range(2)]
    return ir.Constant(ir.VectorType(ir.IntType(32), 64), places)


def _declare_look_up(builder: Any) -> Any:
    """The function of a table and indexes, both 64 bytes: for each index, of its lane's 16 bytes that one."""
    kind = ir.FunctionType(_BYTES, [_BYTES, _BYTES])
    return builder.module.declare_intrinsic("llvm.x86.avx512.pshuf.b.512", fnty=kind)
