"""What the kernels are written with: numbers in memory by address, bfloat16, a shared counter, an exponential.

A kernel is a C function of one address, that of a job record (`jobs.py`); several threads call it with the same job and
take parts from the job's counter. Everything here is for compiled code only. bfloat16 arrives as uint16 and is widened
by a shift; arithmetic is float32.
"""

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

import workers.paged_attention.cpu_kernel  # noqa: F401  # settings of numba, said before anything is compiled
from workers.lean.bfloat16_products import ask_for
from workers.paged_attention.kernel_cache import CAN_CACHE

# Sums may be reordered (that makes them vectors), but NaN and infinity keep their meaning: a broken row must show.
FAST = {"reassoc", "contract", "arcp", "nsz"}
INNER: dict[str, Any] = {"fastmath": FAST, "error_model": "numpy"}  # options of functions that kernels call
_OVERLOAD: Any = INNER
_KERNEL: dict[str, Any] = {"cache": CAN_CACHE, "fastmath": FAST, "error_model": "numpy"}
_SIGNATURE = "void(voidptr)"
_alive: list[Any] = []  # addresses are those of code that numba may take away with its object
_LOG2_E = np.float32(1.4426950408889634)
_LN_2_HIGH = np.float32(0.693359375)
_LN_2_LOW = np.float32(-2.12194440e-4)


def kernel(function: Callable[[Any], None]) -> Callable[[], int]:
    """Makes a kernel of a function of a job's address.

    What is returned gives the kernel's own address; its first call compiles, or reads from disk what was compiled.
    """

    @functools.cache
    def address() -> int:
        compiled: Any = numba.cfunc(_SIGNATURE, **_KERNEL)(function)
        _alive.append(compiled)
        found: int = compiled.address
        return found

    return address


@intrinsic
def pointer_to(typing_context: Any, address: Any) -> Any:
    """The address as a pointer, for `numba.carray`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.uintp), generate


@intrinsic
def take_ticket(typing_context: Any, address: Any) -> Any:
    """Add 1 to the int64 at the address, as one indivisible act; its value before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counter = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(types.uintp), generate


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Ask for the cache line at the address; any address is fine."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ask_for(builder, arguments[0])
        return context.get_dummy_value()

    return types.none(types.uintp), generate


@numba.njit(**INNER)
def _round_bits(bits: Any) -> Any:
    """A float32's bits, the upper 16 rounded to nearest even by what the lower say; numba widens sums on its own."""
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    return np.uint32(np.uint32(bits + np.uint32(0x7FFF)) + odd)


def load(array: Any, index: Any) -> Any:
    """A number of a float32 array, or of a bfloat16 one, as float32."""
    raise NotImplementedError("compiled code only")


@overload(load, jit_options=_OVERLOAD)
def _load(array: Any, index: Any) -> Any:
    if array.dtype == numba.uint16:

        def load_bfloat16(array: Any, index: Any) -> Any:
            return np.uint32(np.uint32(array[index]) << np.uint32(16)).view(np.float32)

        return load_bfloat16

    def load_float32(array: Any, index: Any) -> Any:
        return array[index]

    return load_float32


def store(array: Any, index: Any, value: Any) -> None:
    """Round a float32 to the array's type, to nearest even, and keep it there."""
    raise NotImplementedError("compiled code only")


@overload(store, jit_options=_OVERLOAD)
def _store(array: Any, index: Any, value: Any) -> Any:
    if array.dtype == numba.uint16:

        def store_bfloat16(array: Any, index: Any, value: Any) -> None:
            array[index] = np.uint16(_round_bits(np.float32(value).view(np.uint32)) >> np.uint32(16))

        return store_bfloat16

    def store_float32(array: Any, index: Any, value: Any) -> None:
        array[index] = value

    return store_float32


def rounded(array: Any, value: Any) -> Any:
    """A float32 rounded to the array's type: what `load` would give after `store`."""
    raise NotImplementedError("compiled code only")


@overload(rounded, jit_options=_OVERLOAD)
def _rounded(array: Any, value: Any) -> Any:
    if array.dtype == numba.uint16:

        def to_bfloat16(array: Any, value: Any) -> Any:
            bits = _round_bits(np.float32(value).view(np.uint32))
            return np.uint32(bits & np.uint32(0xFFFF0000)).view(np.float32)

        return to_bfloat16

    def to_float32(array: Any, value: Any) -> Any:
        return value

    return to_float32


def first_of_pair(row: Any, index: Any) -> Any:
    """Of one head's numbers in pairs, the first one of pair `index`, as float32.

    bfloat16 comes as words of two neighbours: two cheap operations unpack 32 numbers, where widening them in order
    takes four dear ones. Of float32 number i is paired with the one half a head further.
    """
    raise NotImplementedError("compiled code only")


@overload(first_of_pair, jit_options=_OVERLOAD)
def _first_of_pair(row: Any, index: Any) -> Any:
    if row.dtype == numba.uint32:

        def lower_half(row: Any, index: Any) -> Any:
            return np.uint32(row[index] << np.uint32(16)).view(np.float32)

        return lower_half

    def first_float32(row: Any, index: Any) -> Any:
        return row[index]

    return first_float32


def second_of_pair(row: Any, index: Any) -> Any:
    """The other one; see `first_of_pair`."""
    raise NotImplementedError("compiled code only")


@overload(second_of_pair, jit_options=_OVERLOAD)
def _second_of_pair(row: Any, index: Any) -> Any:
    if row.dtype == numba.uint32:

        def upper_half(row: Any, index: Any) -> Any:
            return np.uint32(row[index] & np.uint32(0xFFFF0000)).view(np.float32)

        return upper_half

    def second_float32(row: Any, index: Any) -> Any:
        return row[len(row) // 2 + index]

    return second_float32


def store_pair(row: Any, index: Any, first: Any, second: Any) -> None:
    """Round the two numbers of pair `index` to the row's type, to nearest even, and keep them there."""
    raise NotImplementedError("compiled code only")


@overload(store_pair, jit_options=_OVERLOAD)
def _store_pair(row: Any, index: Any, first: Any, second: Any) -> Any:
    if row.dtype == numba.uint32:

        def store_word(row: Any, index: Any, first: Any, second: Any) -> None:
            lower = np.uint32(_round_bits(np.float32(first).view(np.uint32)) >> np.uint32(16))
            upper = np.uint32(_round_bits(np.float32(second).view(np.uint32)) & np.uint32(0xFFFF0000))
            row[index] = np.uint32(lower | upper)

        return store_word

    def store_both(row: Any, index: Any, first: Any, second: Any) -> None:
        row[index] = first
        row[len(row) // 2 + index] = second

    return store_both


@numba.njit(**INNER)
def largest(values: Any, first: Any, end: Any) -> Any:
    """The largest of values[first ... end - 1], float32, of which there is one; NaN if one is NaN.

    By integers in the order of the numbers: with floats, what is to become of NaN keeps the loop from being vectors.
    """
    best = np.int32(-(2**31))
    for i in range(first, end):
        bits = np.float32(values[i]).view(np.int32)
        best = max(best, np.int32(bits ^ np.int32(np.int32(bits >> np.int32(31)) & np.int32(0x7FFFFFFF))))
    return np.int32(best ^ np.int32(np.int32(best >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


@numba.njit(fastmath={"contract"}, error_model="numpy")  # its sums must stay in their order
def exponential(x: Any) -> Any:
    """e to the x in float32, within 2 units of the last place; 0 below -87, e to the 88 above 88, NaN stays NaN.

    Without a branch or a call, so that loops over it become vectors: libm's took longer than the attention around it.
    """
    bounded = min(max(x, np.float32(-87.0)), np.float32(88.0))
    whole = np.floor(bounded * _LOG2_E + np.float32(0.5))
    rest = np.float32(88.0) if x > np.float32(88.0) else x
    rest = rest - whole * _LN_2_HIGH - whole * _LN_2_LOW
    series = np.float32(1.9875691500e-4)
    series = series * rest + np.float32(1.3981999507e-3)
    series = series * rest + np.float32(8.3334519073e-3)
    series = series * rest + np.float32(4.1665795894e-2)
    series = series * rest + np.float32(1.6666665459e-1)
    series = series * rest + np.float32(5.0000001201e-1)
    series = series * rest * rest + rest + np.float32(1.0)
    power = np.int32(np.int32(np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(0.0) if x < np.float32(-87.0) else series * power


@numba.njit(**INNER)
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x) in float32."""
    return np.float32(1.0) / (np.float32(1.0) + exponential(-x))
