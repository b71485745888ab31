"""Compiled kernels of int8 layers: rows to codes, few rows times a weight, and scales of many rows' products.

A code is an unsigned byte, 128 + the number over its row's scale, from 1 to 255. A row that holds NaN or infinity has
the scale NaN, and so have all its outputs; other rows know nothing of it.
"""

from typing import Any

import numba
import numpy as np

from workers.lean.compiled import INNER, kernel, load, pointer_to, store, take_ticket
from workers.linear.row_tile import multiply_bytes
from workers.linear.vnni import DEPTH, STRIPE

_ADDRESS, _COUNT = np.uintp, np.int64
# Fields are 64 bits wide and filled in by their place. The first is the counter threads take their work from.
QUANTIZE = np.dtype(
    [
        ("next", _COUNT),
        ("rows", _COUNT),
        ("width", _COUNT),
        ("input", _ADDRESS),
        ("codes", _ADDRESS),
        ("scales", _ADDRESS),
    ]
)
PRODUCT = np.dtype(
    [
        ("next", _COUNT),
        ("rows", _COUNT),
        ("codes", _ADDRESS),  # uint8 [rows, inputs]
        ("row_scales", _ADDRESS),  # float32 [rows]
        ("output", _ADDRESS),  # [rows, outputs]
        ("inputs", _COUNT),
        ("outputs", _COUNT),
        ("weight", _ADDRESS),  # stripes, see `vnni.py`
        ("stripe_bytes", _COUNT),
        ("corrections", _ADDRESS),  # int32 [outputs]: minus the sums of an output's weights
        ("scales", _ADDRESS),  # float32 [outputs]
        ("bias", _ADDRESS),  # float32 [outputs]; 0: none
        ("passes", _ADDRESS),  # int64 [num_passes, 4], see `row_tile.passes_of`
        ("num_passes", _COUNT),
    ]
)
SCALE = np.dtype(
    [
        ("next", _COUNT),
        ("rows", _COUNT),
        ("width", _COUNT),
        ("output", _ADDRESS),
        ("row_scales", _ADDRESS),
        ("bias", _ADDRESS),
    ]
)

_ROWS_AT_ONCE = 4
_ZERO_POINT = 128
_NOT_FINITE = np.int32(0x7F800000)
_TINY = np.float32(1e-30)  # smaller rows are zero: 127 over them is no number


@numba.njit(**INNER)
def _largest_bits(row: Any) -> Any:
    """The bits of the largest magnitude: in the order of magnitudes, with infinity and NaN above all numbers."""
    best = np.int32(0)
    for i in range(len(row)):
        best = max(best, np.int32(np.float32(load(row, i)).view(np.int32) & np.int32(0x7FFFFFFF)))
    return best


@numba.njit(**INNER)
def _quantize_row(row: Any, codes: Any) -> Any:
    """Its scale."""
    bits = _largest_bits(row)
    largest = np.int32(bits).view(np.float32)
    if bits >= _NOT_FINITE or largest < _TINY:
        codes[:] = np.uint8(_ZERO_POINT)
        return np.float32(np.nan) if bits >= _NOT_FINITE else np.float32(0.0)
    factor = np.float32(127.0) / largest
    for i in range(len(row)):
        codes[i] = np.uint8(np.int32(load(row, i) * factor + np.float32(_ZERO_POINT + 0.5)))
    return largest / np.float32(127.0)


@numba.njit(**INNER)
def _quantize(job: Any, ticket_at: Any, kind: Any) -> None:
    source = numba.carray(pointer_to(job.input), (job.rows, job.width), kind)
    codes = numba.carray(pointer_to(job.codes), (job.rows, job.width), np.uint8)
    scales = numba.carray(pointer_to(job.scales), (job.rows,), np.float32)
    while True:
        first = take_ticket(ticket_at) * _ROWS_AT_ONCE
        if first >= job.rows:
            break
        for row in range(first, min(first + _ROWS_AT_ONCE, job.rows)):
            scales[row] = _quantize_row(source[row], codes[row])


@numba.njit(**INNER)
def _unscaled(total: Any, correction: Any) -> Any:
    """A sum of products of codes as if they had no zero point."""
    return np.float32(np.int32(total + np.int32(_ZERO_POINT) * correction))


@numba.njit(**INNER)
def _multiply(job: Any, ticket_at: Any, kind: Any) -> None:
    outputs = job.outputs
    output = numba.carray(pointer_to(job.output), (job.rows, outputs), kind)
    row_scales = numba.carray(pointer_to(job.row_scales), (job.rows,), np.float32)
    scales = numba.carray(pointer_to(job.scales), (outputs,), np.float32)
    bias = numba.carray(pointer_to(job.bias), (outputs,), np.float32)
    corrections = numba.carray(pointer_to(job.corrections), (outputs,), np.int32)
    has_bias = job.bias != 0
    passes = numba.carray(pointer_to(job.passes), (job.num_passes, 4), np.int64)
    sums = np.empty((job.num_passes, passes[0, 1], STRIPE), np.int32)
    count = (outputs + STRIPE - 1) // STRIPE
    stripe = take_ticket(ticket_at)
    while stripe < count:
        following = take_ticket(ticket_at)
        weight = job.weight + np.uintp(stripe * job.stripe_bytes)
        after = job.weight + np.uintp(min(following, count - 1) * job.stripe_bytes)
        multiply_bytes(job.codes, job.inputs, weight, after, job.inputs // DEPTH, passes, sums)
        begin, end = stripe * STRIPE, min((stripe + 1) * STRIPE, outputs)
        wanted, column_scales = corrections[begin:end], scales[begin:end]
        for index in range(job.num_passes):
            for r in range(passes[index, 1]):
                row = passes[index, 0] + r
                scale, line, target = row_scales[row], sums[index, r], output[row, begin:end]
                if has_bias:
                    added = bias[begin:end]
                    for i in range(len(target)):
                        store(target, i, _unscaled(line[i], wanted[i]) * column_scales[i] * scale + added[i])
                else:
                    for i in range(len(target)):
                        store(target, i, _unscaled(line[i], wanted[i]) * column_scales[i] * scale)
        stripe = following


@numba.njit(**INNER)
def _scale(job: Any, ticket_at: Any, kind: Any) -> None:
    output = numba.carray(pointer_to(job.output), (job.rows, job.width), kind)
    row_scales = numba.carray(pointer_to(job.row_scales), (job.rows,), np.float32)
    bias = numba.carray(pointer_to(job.bias), (job.width,), np.float32)
    while True:
        row = take_ticket(ticket_at)
        if row >= job.rows:
            break
        scale, target = row_scales[row], output[row]
        if job.bias != 0:
            for i in range(len(target)):
                store(target, i, load(target, i) * scale + bias[i])
        else:
            for i in range(len(target)):
                store(target, i, load(target, i) * scale)


@kernel
def quantize_bfloat16(job_at: Any) -> None:
    """A QUANTIZE job of bfloat16 rows."""
    job = numba.carray(job_at, 1, QUANTIZE)
    _quantize(job[0], job.ctypes.data, np.uint16)


@kernel
def quantize_float32(job_at: Any) -> None:
    """A QUANTIZE job of float32 rows."""
    job = numba.carray(job_at, 1, QUANTIZE)
    _quantize(job[0], job.ctypes.data, np.float32)


@kernel
def multiply_bfloat16(job_at: Any) -> None:
    """A PRODUCT job with bfloat16 output."""
    job = numba.carray(job_at, 1, PRODUCT)
    _multiply(job[0], job.ctypes.data, np.uint16)


@kernel
def multiply_float32(job_at: Any) -> None:
    """A PRODUCT job with float32 output."""
    job = numba.carray(job_at, 1, PRODUCT)
    _multiply(job[0], job.ctypes.data, np.float32)


@kernel
def scale_bfloat16(job_at: Any) -> None:
    """A SCALE job of bfloat16 rows, changed in place."""
    job = numba.carray(job_at, 1, SCALE)
    _scale(job[0], job.ctypes.data, np.uint16)


@kernel
def scale_float32(job_at: Any) -> None:
    """A SCALE job of float32 rows, changed in place."""
    job = numba.carray(job_at, 1, SCALE)
    _scale(job[0], job.ctypes.data, np.float32)
