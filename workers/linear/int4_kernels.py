"""The compiled kernel of int4 layers. Rows come as int8 layers take them: see `int8_kernels.py`."""

from typing import Any

import numba
import numpy as np

from workers.lean.compiled import INNER, kernel, pointer_to, store, take_ticket
from workers.linear.vnni import STRIPE
from workers.linear.vnni_int4 import GROUP, GROUP_BYTES, int4_product

_ADDRESS, _COUNT = np.uintp, np.int64
INT4_PRODUCT = np.dtype(
    [
        ("next", _COUNT),  # the counter threads take stripes from; 0 before a call
        ("rows", _COUNT),
        ("codes", _ADDRESS),  # uint8 [rows up to a multiple of 4, inputs]
        ("row_scales", _ADDRESS),  # float32 [rows]
        ("output", _ADDRESS),  # [rows, outputs]
        ("inputs", _COUNT),
        ("outputs", _COUNT),
        ("weight", _ADDRESS),  # stripes, see `vnni_int4.py`
        ("scales", _ADDRESS),  # bfloat16 [stripes, groups, STRIPE]
        ("bias", _ADDRESS),  # float32 [outputs]; 0: none
    ]
)
_ROWS_AT_ONCE = 4


@numba.njit(**INNER)
def _group_offsets(codes: Any, offsets: Any) -> None:
    """See `int4_product`, of one row."""
    for group in range(len(offsets)):
        total = np.int32(0)
        for i in range(group * GROUP, (group + 1) * GROUP):
            total += np.int32(codes[i])
        offsets[group] = np.int32(-8) * np.int32(total - np.int32(128 * GROUP))


@numba.njit(**INNER)
def _multiply(job: Any, ticket_at: Any, kind: Any) -> None:
    rows_in_all, inputs, outputs, groups = job.rows, job.inputs, job.outputs, job.inputs // GROUP
    output = numba.carray(pointer_to(job.output), (rows_in_all, outputs), kind)
    row_scales = numba.carray(pointer_to(job.row_scales), (rows_in_all,), np.float32)
    codes = numba.carray(pointer_to(job.codes), (rows_in_all, inputs), np.uint8)
    bias = numba.carray(pointer_to(job.bias), (outputs,), np.float32)
    has_bias = job.bias != 0
    offsets = np.zeros((rows_in_all + _ROWS_AT_ONCE, groups), np.int32)  # of each thread its own: quickly made
    for row in range(rows_in_all):
        _group_offsets(codes[row], offsets[row])
    sums = np.empty((_ROWS_AT_ONCE, STRIPE), np.float32)
    sums_at = np.uintp(sums.ctypes.data)
    while True:
        stripe = take_ticket(ticket_at)
        begin = stripe * STRIPE
        if begin >= outputs:
            break
        weight = np.uintp(job.weight + np.uintp(stripe * groups * GROUP_BYTES))
        scales = np.uintp(job.scales + np.uintp(stripe * groups * 2 * STRIPE))
        end = min(begin + STRIPE, outputs)
        for first in range(0, rows_in_all, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, rows_in_all - first)
            codes_at = np.uintp(job.codes + np.uintp(first * inputs))
            offsets_at = np.uintp(np.uintp(offsets.ctypes.data) + np.uintp(first * groups * 4))
            int4_product(weight, scales, codes_at, inputs, offsets_at, groups, sums_at, rows)
            for row in range(rows):
                scale, line, target = row_scales[first + row], sums[row], output[first + row]
                for i in range(begin, end):
                    value = line[i - begin] * scale
                    store(target, i, value + bias[i] if has_bias else value)


@kernel
def multiply_int4_bfloat16(job_at: Any) -> None:
    """An INT4_PRODUCT job with bfloat16 output."""
    job = numba.carray(job_at, 1, INT4_PRODUCT)
    _multiply(job[0], job.ctypes.data, np.uint16)


@kernel
def multiply_int4_float32(job_at: Any) -> None:
    """An INT4_PRODUCT job with float32 output."""
    job = numba.carray(job_at, 1, INT4_PRODUCT)
    _multiply(job[0], job.ctypes.data, np.float32)
