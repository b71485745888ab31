"""Compiled kernels between a layer's products: adding to the residual stream with norms, and gating.

Rounding happens where transformers' modules round: after the sum, after the normalisation (before its weight is
multiplied, for families that do so), after it, after an activation and after its product.
"""

from enum import IntEnum
from typing import Any

import numba
import numpy as np

from workers.lean.compiled import INNER, kernel, load, pointer_to, rounded, sigmoid, store, take_ticket
from workers.lean.jobs import ADD_NORM, GATE


class Activation(IntEnum):
    """What the gate goes through."""

    SILU = 0
    GELU_TANH = 1


_ROWS_AT_ONCE = 4  # that a thread takes: a row takes less than a microsecond


@numba.njit(**INNER)
def _scale_of(row: Any, width: Any, eps: Any) -> Any:
    """1 / root mean square."""
    total = np.float32(0.0)
    for i in range(width):
        value = load(row, i)
        total += value * value
    return np.float32(1.0) / np.sqrt(total / np.float32(width) + np.float32(eps))


@numba.njit(**INNER)
def _norm_row(row: Any, weight: Any, eps: Any, rounds_first: Any, target: Any) -> None:
    width = len(weight)
    scale = _scale_of(row, width, eps)
    if rounds_first:
        for i in range(width):
            store(target, i, rounded(row, load(row, i) * scale) * weight[i])
    else:
        for i in range(width):
            store(target, i, load(row, i) * scale * weight[i])


@numba.njit(**INNER)
def _add_row(hidden: Any, delta: Any, factor: Any) -> None:
    if factor == np.float32(1.0):
        for i in range(len(hidden)):
            store(hidden, i, load(hidden, i) + load(delta, i))
    else:
        for i in range(len(hidden)):
            store(hidden, i, load(hidden, i) + rounded(delta, load(delta, i) * factor))


@numba.njit(**INNER)
def _add_norm(job: Any, ticket_at: Any, kind: Any) -> None:
    width, rows = job.width, job.rows
    hidden = numba.carray(pointer_to(job.hidden), (rows, width), kind)
    delta = numba.carray(pointer_to(job.delta), (rows, width), kind)
    normed = numba.carray(pointer_to(job.normed), (rows, width), kind)
    weight = numba.carray(pointer_to(job.weight), (width,), np.float32)
    delta_weight = numba.carray(pointer_to(job.delta_weight), (width,), np.float32)
    rounds_first = job.rounds_first != 0
    factor = np.float32(job.delta_scale)
    while True:
        first = take_ticket(ticket_at) * _ROWS_AT_ONCE
        if first >= rows:
            break
        for row in range(first, min(first + _ROWS_AT_ONCE, rows)):
            if job.delta != 0:
                if job.delta_weight != 0:
                    _norm_row(delta[row], delta_weight, job.delta_eps, rounds_first, delta[row])
                _add_row(hidden[row], delta[row], factor)
            if job.weight != 0:
                _norm_row(hidden[row], weight, job.eps, rounds_first, normed[row])


@numba.njit(**INNER)
def _gate_row(both: Any, activation: Any, target: Any) -> None:
    width = len(target)
    if activation == 0:
        for i in range(width):
            gate = load(both, i)
            store(target, i, rounded(target, gate * sigmoid(gate)) * load(both, width + i))
    else:
        for i in range(width):
            gate = load(both, i)
            inner = np.float32(0.7978845608028654) * (gate + np.float32(0.044715) * gate * gate * gate)
            store(target, i, rounded(target, gate * sigmoid(inner + inner)) * load(both, width + i))


@numba.njit(**INNER)
def _gate(job: Any, ticket_at: Any, kind: Any) -> None:
    width, rows = job.width, job.rows
    both = numba.carray(pointer_to(job.gate_up), (rows, 2 * width), kind)
    output = numba.carray(pointer_to(job.output), (rows, width), kind)
    while True:
        row = take_ticket(ticket_at)
        if row >= rows:
            break
        _gate_row(both[row], job.activation, output[row])


@kernel
def add_norm_bfloat16(job_at: Any) -> None:
    """An ADD_NORM job of bfloat16 rows."""
    job = numba.carray(job_at, 1, ADD_NORM)
    _add_norm(job[0], job.ctypes.data, np.uint16)


@kernel
def add_norm_float32(job_at: Any) -> None:
    """An ADD_NORM job of float32 rows."""
    job = numba.carray(job_at, 1, ADD_NORM)
    _add_norm(job[0], job.ctypes.data, np.float32)


@kernel
def gate_bfloat16(job_at: Any) -> None:
    """A GATE job of bfloat16 rows."""
    job = numba.carray(job_at, 1, GATE)
    _gate(job[0], job.ctypes.data, np.uint16)


@kernel
def gate_float32(job_at: Any) -> None:
    """A GATE job of float32 rows."""
    job = numba.carray(job_at, 1, GATE)
    _gate(job[0], job.ctypes.data, np.float32)
