"""Products of one or two rows with a packed bfloat16 weight, at the speed of memory.

oneDNN reads packed weights at two thirds of what memory gives when there is a row or two. The kernel here walks the
same packed blocks once, in order, with float32 sums. It knows one order of oneDNN's, the one it takes on CPUs with
AVX-512 ("AB16b64a2b": blocks of 64 outputs and 32 inputs, in them pairs of inputs for each output); where packing gives
another, these products stay oneDNN's.
"""

import ctypes
import functools
from typing import Any

import numba
import numpy as np
import torch

from workers.lean.compiled import INNER, kernel, load, pointer_to, store, take_ticket
from workers.lean.openmp import run_kernel

MOST_ROWS = 2  # from three on oneDNN is as fast
_OUTPUTS, _INPUTS = 64, 32  # of a block
_JOB = np.dtype(
    [
        ("next", np.int64),  # the counter threads take blocks of outputs from; 0 before a call
        ("rows", np.int64),
        ("in_features", np.int64),
        ("out_features", np.int64),
        ("inputs", np.uintp),  # bfloat16 [rows, in_features]
        ("weight", np.uintp),  # bfloat16, packed
        ("bias", np.uintp),  # bfloat16 [out_features]; 0: none
        ("outputs", np.uintp),  # bfloat16 [rows, out_features]
    ],
    align=True,
)


@numba.njit(**INNER)
def _one_row(pairs: Any, wide: Any, sums: Any) -> None:
    for o in range(_OUTPUTS):
        sums[0, o] = np.float32(0.0)
    for k in range(pairs.shape[0]):
        even, odd = wide[0, 2 * k], wide[0, 2 * k + 1]
        for o in range(_OUTPUTS):
            pair = pairs[k, o]
            low = np.uint32(pair << np.uint32(16)).view(np.float32)
            high = np.uint32(pair & np.uint32(0xFFFF0000)).view(np.float32)
            sums[0, o] += even * low + odd * high


@numba.njit(**INNER)
def _two_rows(pairs: Any, wide: Any, sums: Any) -> None:
    for o in range(_OUTPUTS):
        sums[0, o] = np.float32(0.0)
        sums[1, o] = np.float32(0.0)
    for k in range(pairs.shape[0]):
        even, odd = wide[0, 2 * k], wide[0, 2 * k + 1]
        other_even, other_odd = wide[1, 2 * k], wide[1, 2 * k + 1]
        for o in range(_OUTPUTS):
            pair = pairs[k, o]
            low = np.uint32(pair << np.uint32(16)).view(np.float32)
            high = np.uint32(pair & np.uint32(0xFFFF0000)).view(np.float32)
            sums[0, o] += even * low + odd * high
            sums[1, o] += other_even * low + other_odd * high


@kernel
def _multiply(job_at: Any) -> None:
    record = numba.carray(job_at, 1, _JOB)
    job, ticket_at = record[0], record.ctypes.data
    rows, inputs, outputs = job.rows, job.in_features, job.out_features
    given = numba.carray(pointer_to(job.inputs), (rows, inputs), np.uint16)
    result = numba.carray(pointer_to(job.outputs), (rows, outputs), np.uint16)
    bias = numba.carray(pointer_to(job.bias), (outputs,), np.uint16)
    blocks = numba.carray(pointer_to(job.weight), (outputs // _OUTPUTS, inputs // 2, _OUTPUTS), np.uint32)
    wide = np.empty((rows, inputs), np.float32)
    for row in range(rows):
        for i in range(inputs):
            wide[row, i] = load(given[row], i)
    sums = np.empty((2, _OUTPUTS), np.float32)
    while True:
        block = take_ticket(ticket_at)
        if block >= outputs // _OUTPUTS:
            break
        if rows == 1:
            _one_row(blocks[block], wide, sums)
        else:
            _two_rows(blocks[block], wide, sums)
        for row in range(rows):
            for o in range(_OUTPUTS):
                at = block * _OUTPUTS + o
                added = load(bias, at) if job.bias != 0 else np.float32(0.0)
                store(result[row], at, sums[row, o] + added)


class FewRows:
    """One packed weight, ready for products of up to MOST_ROWS rows. Used by one thread at a time."""

    most_rows = MOST_ROWS

    def __init__(self, weight_address: int, out_features: int, in_features: int, bias: torch.Tensor | None) -> None:
        """The weight's memory must stay mapped; `bias` is kept. Computes nothing.

        Reads the kernel from disk, or compiles it: once, before workers are forked.
        """
        _multiply()
        self._bias = None if bias is None else bias.contiguous()
        self._job = np.zeros(1, _JOB)
        self._address: int = self._job.ctypes.data
        self._out_features = out_features
        record = self._job[0]
        record["in_features"], record["out_features"], record["weight"] = in_features, out_features, weight_address
        record["bias"] = 0 if self._bias is None else self._bias.data_ptr()

    def multiply(self, rows: torch.Tensor) -> torch.Tensor:
        """bfloat16 [n, out_features] for contiguous bfloat16 [n, in_features], n from 1 to MOST_ROWS."""
        result = rows.new_empty(len(rows), self._out_features)
        record = self._job[0]
        record["next"], record["rows"] = 0, len(rows)
        record["inputs"], record["outputs"] = rows.data_ptr(), result.data_ptr()
        run_kernel(_multiply(), self._address, torch.get_num_threads())
        return result


def is_possible(out_features: int, in_features: int) -> bool:
    """The kernel can walk weights of this shape, packed on this machine. Packs a small one to see, once."""
    return out_features % _OUTPUTS == 0 and in_features % _INPUTS == 0 and _is_known_order()


@functools.cache
def _is_known_order() -> bool:
    """Small whole numbers, all exact in bfloat16, come back from where they are expected."""
    numbers = (torch.arange(2 * _OUTPUTS * 2 * _INPUTS) % 251).view(2 * _OUTPUTS, 2 * _INPUTS)
    packed = torch.ops.mkldnn._reorder_linear_weight(numbers.bfloat16())
    if torch.ops.mkldnn._nbytes(packed) != 2 * numbers.numel():
        return False
    address = torch.ops.mkldnn.data_ptr(packed)
    found = np.ctypeslib.as_array((ctypes.c_uint16 * numbers.numel()).from_address(address))
    blocks = numbers.bfloat16().view(2, _OUTPUTS, 2, _INPUTS // 2, 2).permute(0, 2, 3, 1, 4).reshape(-1)
    return bool(np.array_equal(found, blocks.contiguous().view(torch.uint16).numpy()))
