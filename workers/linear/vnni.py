"""The inner loop of int8 products for few rows: a stripe of 64 outputs, by the CPU's byte dot products (AVX-512 VNNI).

Weights come in the order oneDNN calls BA16a64b4a: 64 outputs by 4 inputs after one another, so that each instruction
multiplies and adds 4 inputs of 16 outputs, and a stripe is one stream of memory. For compiled code only.
"""

from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

STRIPE = 64  # outputs
DEPTH = 4  # inputs an instruction takes
_VECTORS = STRIPE // 16  # a stripe's accumulators: sixteen int32 each

# The instruction is written as assembler: LLVM's name for it changes its types between versions.
llvmlite.binding.initialize_native_asmparser()

WORD, ADDRESS = ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(WORD, 16)
_ZERO, _UNDEFINED = ir.Constant(VECTOR, [0] * 16), ir.Constant(VECTOR, ir.Undefined)


def multiply_add(builder: Any, total: Any, codes: Any, weights: Any) -> Any:
    """total + the dot products of 4 unsigned bytes of `codes` and 4 signed ones of `weights`, sixteen at once."""
    kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR])
    return builder.call(ir.InlineAsm(kind, "vpdpbusd $2, $1, $0", "=v,v,v,0"), [codes, weights, total])


def spread(builder: Any, address: Any) -> Any:
    """The four bytes at the address, sixteen times."""
    word = builder.load(builder.inttoptr(address, WORD.as_pointer()), align=DEPTH)
    first = builder.insert_element(_UNDEFINED, word, WORD(0))
    return builder.shuffle_vector(first, _UNDEFINED, _ZERO)


def _stripe_product(rows: int) -> Any:
    """Makes the function (weights, codes, stride of codes, inputs, sums), the first two and the last addresses.

    Writes int32 sums [rows, STRIPE]. `inputs` is a multiple of DEPTH above 0.
    """

    @intrinsic
    def product(typing_context: Any, weights: Any, codes: Any, stride: Any, inputs: Any, sums: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights_at, codes_at, stride, inputs, sums_at = arguments
            before, loop = builder.block, builder.append_basic_block("stripe")
            after = builder.append_basic_block("stripe_end")
            builder.branch(loop)
            builder.position_at_end(loop)
            at = builder.phi(ADDRESS)
            totals = [[builder.phi(VECTOR) for _ in range(_VECTORS)] for _ in range(rows)]
            line = builder.add(weights_at, builder.mul(at, ADDRESS(STRIPE)))
            read = []
            for vector in range(_VECTORS):
                pointer = builder.inttoptr(builder.add(line, ADDRESS(64 * vector)), VECTOR.as_pointer())
                read.append(builder.load(pointer, align=64))
            grown = []
            for row in range(rows):
                start = builder.add(codes_at, builder.mul(stride, ADDRESS(row)))
                four = spread(builder, builder.add(start, at))
                grown.append([multiply_add(builder, totals[row][v], four, read[v]) for v in range(_VECTORS)])
            following = builder.add(at, ADDRESS(DEPTH))
            at.add_incoming(ADDRESS(0), before)
            at.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, inputs), loop, after)
            for row in range(rows):
                for vector in range(_VECTORS):
                    totals[row][vector].add_incoming(_ZERO, before)
                    totals[row][vector].add_incoming(grown[row][vector], loop)
            builder.position_at_end(after)
            for row in range(rows):
                for vector in range(_VECTORS):
                    offset = ADDRESS((row * _VECTORS + vector) * 64)
                    target = builder.inttoptr(builder.add(sums_at, offset), VECTOR.as_pointer())
                    builder.store(grown[row][vector], target, align=4)
            return context.get_dummy_value()

        return types.none(types.uintp, types.uintp, types.int64, types.int64, types.uintp), generate

    return product


_one_row, _two_rows, _four_rows = _stripe_product(1), _stripe_product(2), _stripe_product(4)


@numba.njit
def stripe_product(weights: Any, codes: Any, stride: Any, inputs: Any, sums: Any, rows: Any) -> None:
    """int32 sums [4, STRIPE] of 1 to 4 rows of unsigned codes with a stripe of signed weights.

    All but the numbers are addresses. Memory for four rows of codes must be there: three are computed as four.
    """
    if rows == 1:
        _one_row(weights, codes, stride, inputs, sums)
    elif rows == 2:
        _two_rows(weights, codes, stride, inputs, sums)
    else:
        _four_rows(weights, codes, stride, inputs, sums)
