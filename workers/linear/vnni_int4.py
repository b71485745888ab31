"""The inner loop of int4 products: some rows with part of a stripe of 64 outputs, by byte dot products (AVX-512 VNNI).

A step is 64 outputs by 8 inputs, in 256 bytes: the byte of output o and place i holds input i in its lower half and
input 4 + i in its upper one, as 8 + the number over its group's scale. A group is 32 inputs. For compiled code only.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from workers.lean.bfloat16_products import WORD, in_every_lane, load_at
from workers.linear.vnni import ADDRESS, STRIPE, VECTOR, multiply_add

GROUP = 32  # inputs that share a scale
_STEP = 8  # inputs
_STEP_BYTES = STRIPE * _STEP // 2
GROUP_BYTES = GROUP // _STEP * _STEP_BYTES  # of a stripe
_FLOATS = ir.VectorType(ir.FloatType(), 16)
_LOWER = ir.Constant(VECTOR, [0x0F0F0F0F] * 16)
_SIGNS = ir.Constant(VECTOR, [0x80808080 - (1 << 32)] * 16)  # a code with its sign turned is the signed number
_FOUR, _SIXTEEN = ir.Constant(VECTOR, [4] * 16), ir.Constant(VECTOR, [16] * 16)
_HALF = ir.VectorType(ir.IntType(16), 16)


def _group_sums(builder: Any, weights: Any, codes: Any, starts: Any, vectors: int) -> list[list[Any]]:
    """int32 sums [row][vector] of a group: `starts` + products of the codes at the addresses with the weights there."""
    sums = [[start] * vectors for start in starts]
    for step in range(GROUP // _STEP):
        pointers = [builder.add(weights, ADDRESS(step * _STEP_BYTES + 64 * vector)) for vector in range(vectors)]
        both = [builder.load(builder.inttoptr(pointer, VECTOR.as_pointer()), align=64) for pointer in pointers]
        halves = [
            [builder.and_(four, _LOWER) for four in both],
            [builder.and_(builder.lshr(four, _FOUR), _LOWER) for four in both],
        ]
        for half, numbers in enumerate(halves):
            for row, at in enumerate(codes):
                word = load_at(builder, at, step * _STEP + 4 * half, WORD)
                four = builder.xor(in_every_lane(builder, word), _SIGNS)
                sums[row] = [
                    multiply_add(builder, total, own, four) for total, own in zip(sums[row], numbers, strict=True)
                ]
    return sums


def _scales(builder: Any, address: Any, vectors: int) -> list[Any]:
    """Sixteen bfloat16 scales a vector, as float32."""
    scales = []
    for vector in range(vectors):
        pointer = builder.inttoptr(builder.add(address, ADDRESS(32 * vector)), _HALF.as_pointer())
        bits = builder.shl(builder.zext(builder.load(pointer, align=32), VECTOR), _SIXTEEN)
        scales.append(builder.bitcast(bits, _FLOATS))
    return scales


def _int4_product(rows: int, vectors: int) -> Any:
    """Makes the function (weights, scales, codes, stride, offsets, groups, sums); see `int4_product`."""

    @intrinsic
    def product(
        typing_context: Any, weights: Any, scales: Any, codes: Any, stride: Any, offsets: Any, groups: Any, sums: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, scales, codes, stride, offsets, groups, sums = arguments
            before, loop = builder.block, builder.append_basic_block("groups")
            after = builder.append_basic_block("groups_end")
            builder.branch(loop)
            builder.position_at_end(loop)
            group = builder.phi(ADDRESS)
            totals = [[builder.phi(_FLOATS) for _ in range(vectors)] for _ in range(rows)]
            weights_at = builder.add(weights, builder.mul(group, ADDRESS(GROUP_BYTES)))
            scales_at = builder.add(scales, builder.mul(group, ADDRESS(2 * STRIPE)))
            codes_at, starts = [], []
            for row in range(rows):
                first = builder.add(codes, builder.mul(stride, ADDRESS(row)))
                codes_at.append(builder.add(first, builder.mul(group, ADDRESS(GROUP))))
                words = builder.add(builder.mul(groups, ADDRESS(row)), group)
                word = load_at(builder, builder.add(offsets, builder.mul(words, ADDRESS(4))), 0, WORD)
                starts.append(in_every_lane(builder, word))
            found = _group_sums(builder, weights_at, codes_at, starts, vectors)
            spans = _scales(builder, scales_at, vectors)
            grown = [
                [
                    builder.fadd(total, builder.fmul(builder.sitofp(whole, _FLOATS), span), flags=["contract"])
                    for total, whole, span in zip(totals[row], found[row], spans, strict=True)
                ]
                for row in range(rows)
            ]
            following = builder.add(group, ADDRESS(1))
            group.add_incoming(ADDRESS(0), before)
            group.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, groups), loop, after)
            zero = ir.Constant(_FLOATS, [0.0] * 16)
            builder.position_at_end(after)
            for row in range(rows):
                for vector in range(vectors):
                    totals[row][vector].add_incoming(zero, before)
                    totals[row][vector].add_incoming(grown[row][vector], loop)
                    offset = ADDRESS(4 * STRIPE * row + 64 * vector)
                    target = builder.inttoptr(builder.add(sums, offset), _FLOATS.as_pointer())
                    builder.store(grown[row][vector], target, align=4)
            return context.get_dummy_value()

        address, count = types.uintp, types.int64
        return types.none(address, address, address, count, address, count, address), generate

    return product


# Four rows take a stripe in halves: more sums than the CPU has registers for would go through memory at every step.
_one_row, _two_rows, _four_rows = _int4_product(1, 4), _int4_product(2, 4), _int4_product(4, 2)


@numba.njit
def int4_product(
    weights: Any, scales: Any, codes: Any, stride: Any, offsets: Any, groups: Any, sums: Any, rows: Any
) -> None:
    """float32 sums [4, STRIPE] of 1 to 4 rows of unsigned codes with a stripe, without the rows' scales.

    Addresses: the stripe's steps, its bfloat16 scales [groups, STRIPE], codes [4, stride], and int32 [4, groups], what
    each group's sum begins with: minus 8 times the sum of its signed codes. Three rows are computed as four.
    """
    if rows == 1:
        _one_row(weights, scales, codes, stride, offsets, groups, sums)
    elif rows == 2:
        _two_rows(weights, scales, codes, stride, offsets, groups, sums)
    else:
        half = np.uintp(STRIPE // 2)
        _four_rows(weights, scales, codes, stride, offsets, groups, sums)
        other_weights, other_scales = np.uintp(weights + half * np.uintp(4)), np.uintp(scales + half * np.uintp(2))
        _four_rows(other_weights, other_scales, codes, stride, offsets, groups, np.uintp(sums + half * np.uintp(4)))
