"""What kernels multiply bfloat16 numbers with: the processor's own instruction, pieces of code around it."""

import functools
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16  # float32 numbers of a vector
CPU_FLAGS = {"avx512_bf16", "avx512bw"}  # what a processor must have for this


@functools.cache
def has_products() -> bool:
    """The processor multiplies pairs of bfloat16 numbers and adds them to float32 sums, 16 at once."""
    return CPU_FLAGS.issubset(_flags())


@functools.cache
def has_tiles() -> bool:
    """It has AMX, too: oneDNN's products of many rows are several times as fast as those made of these."""
    return "amx_bf16" in _flags()


def _flags() -> set[str]:
    cpuinfo = Path("/proc/cpuinfo")
    return set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()


class _BFloat(ir.Type):  # type: ignore[misc]  # llvmlite has no types
    """llvmlite has no name for it."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash("bfloat")


INT, WORD = ir.IntType(64), ir.IntType(32)
WORDS, SUMS, PAIRS = ir.VectorType(WORD, LANES), ir.VectorType(ir.FloatType(), LANES), ir.VectorType(_BFloat(), 32)


def declare_product(builder: Any) -> Any:
    """The function of (SUMS, PAIRS, PAIRS) that gives the sums with each lane's two products added."""
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    return builder.module.declare_intrinsic(name, fnty=ir.FunctionType(SUMS, [SUMS, PAIRS, PAIRS]))


def load_at(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    """A value of the kind, `offset` bytes from the address on."""
    return builder.load(builder.inttoptr(builder.add(address, INT(offset)), kind.as_pointer()), align=4)


def in_every_lane(builder: Any, word: Any) -> Any:
    """The word sixteen times, as WORDS."""
    one = builder.insert_element(ir.Constant(WORDS, ir.Undefined), word, WORD(0))
    lanes = ir.Constant(ir.VectorType(WORD, LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(WORDS, ir.Undefined), lanes)


def ask_for(builder: Any, address: Any) -> None:
    """Bring the cache line at the address near, whatever address that is. Into the second cache: the first has no room
    for what comes later, and lines on their way there hold up those that are wanted now."""
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, WORD, WORD, WORD])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    builder.call(function, [builder.inttoptr(address, cgutils.voidptr_t), WORD(0), WORD(2), WORD(1)])
