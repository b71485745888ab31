"""The CPU's byte dot products (AVX-512 VNNI), of which products of few rows with int8 and int4 weights are made.

Weights come in the order oneDNN calls BA16a64b4a: 64 outputs by 4 inputs after one another, so that each instruction
multiplies and adds 4 inputs of 16 outputs, and a stripe is one stream of memory. For compiled code only.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir

STRIPE = 64  # outputs
DEPTH = 4  # inputs an instruction takes

# The instruction is written as assembler: LLVM's name for it changes its types between versions.
llvmlite.binding.initialize_native_asmparser()

WORD, ADDRESS = ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(WORD, 16)


def multiply_add(builder: Any, total: Any, codes: Any, weights: Any) -> Any:
    """total + the dot products of 4 unsigned bytes of `codes` and 4 signed ones of `weights`, sixteen at once."""
    kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR])
    return builder.call(ir.InlineAsm(kind, "vpdpbusd $2, $1, $0", "=v,v,v,0"), [codes, weights, total])
