"""Attention of packed sequences of bfloat16, compiled: each thread takes a head of a sequence, and lays its keys and
values in the order the processor multiplies them in. Scores, softmax and sums are float32; only factors are bfloat16.
"""

from typing import Any

import numba
import numpy as np

from workers.lean.attention_tiles import give_out, score_keys, sum_values, take_queries, tiles_at
from workers.lean.compiled import INNER, exponential, kernel, largest, pointer_to, store, take_ticket
from workers.lean.dot_tile import TILE_COLUMNS, TILE_ROWS
from workers.lean.jobs import offset_of
from workers.lean_encoder.jobs import ATTEND

_NEXT_SCRATCH = offset_of(ATTEND, "next_scratch")


def padded(length: int) -> int:
    """Keys of a sequence of this length as they lie in scratch memory."""
    return -(-length // TILE_COLUMNS) * TILE_COLUMNS


@numba.njit(**INNER)
def _pack_keys(qkv: Any, first: Any, length: Any, column: Any, keys: Any) -> None:
    """Pairs of numbers of each key: keys [head_dim / 2, padded]."""
    for t in range(keys.shape[1]):
        for i in range(keys.shape[0]):
            keys[i, t] = qkv[first + t, column + i] if t < length else np.uint32(0)


@numba.njit(**INNER)
def _pack_values(qkv: Any, first: Any, length: Any, column: Any, values: Any) -> None:
    """Each number of two values that follow one another: values [padded / 2, head_dim]."""
    for pair in range(values.shape[0]):
        t = 2 * pair
        for d in range(values.shape[1]):
            low = np.uint32(qkv[first + t, column + d]) if t < length else np.uint32(0)
            high = np.uint32(qkv[first + t + 1, column + d]) if t + 1 < length else np.uint32(0)
            values[pair, d] = low | np.uint32(high << np.uint32(16))


@numba.njit(**INNER)
def _softmax_row(scores: Any, length: Any, scaling: Any, weights: Any) -> Any:
    """Weights not yet divided by their sum, which is given back; beyond `length` they are 0."""
    best = largest(scores, 0, length)
    total = np.float32(0.0)
    for t in range(length):
        scores[t] = exponential((scores[t] - best) * scaling)
    for t in range(length):
        total += scores[t]
    for t in range(length):
        store(weights, t, scores[t])
    for t in range(length, len(weights)):
        weights[t] = np.uint16(0)
    return total


@numba.njit(**INNER)
def _attend_head(job: Any, sequence: Any, head: Any, memory: Any) -> None:
    dim, width = job.head_dim, job.heads * job.head_dim
    starts = numba.carray(pointer_to(job.starts), (job.sequences + 1,), np.int64)
    first, length = starts[sequence], starts[sequence + 1] - starts[sequence]
    tokens = starts[job.sequences]
    most = (length + TILE_COLUMNS - 1) // TILE_COLUMNS * TILE_COLUMNS
    qkv = numba.carray(pointer_to(job.qkv), (tokens, 3 * width), np.uint16)
    pairs = numba.carray(pointer_to(job.qkv), (tokens, 3 * width // 2), np.uint32)
    output = numba.carray(pointer_to(job.output), (tokens, width), np.uint16)
    keys, values, queries, scores, weights, result = tiles_at(memory, most, dim)
    _pack_keys(pairs, first, length, (width + head * dim) // 2, keys)
    _pack_values(qkv, first, length, 2 * width + head * dim, values)
    column, factor = head * dim, np.float32(job.scaling)
    shares = np.empty(TILE_ROWS, np.float32)
    for row in range(0, length, TILE_ROWS):
        rows = min(TILE_ROWS, length - row)
        take_queries(pairs, first + row, rows, column // 2, queries)
        score_keys(queries, keys, 0, most, scores)
        for r in range(rows):
            shares[r] = np.float32(1.0) / _softmax_row(scores[r], length, factor, weights[r])
        sum_values(weights, values, 0, most, result)
        give_out(result, shares, rows, output, first + row, column)


@kernel
def attend_bfloat16(job_at: Any) -> None:
    """An ATTEND job."""
    job = numba.carray(job_at, 1, ATTEND)
    at = np.uintp(job.ctypes.data)
    record = job[0]
    mine: Any = take_ticket(at + np.uintp(_NEXT_SCRATCH))
    memory = np.uintp(record.scratch) + np.uintp(mine * record.scratch_bytes)
    while True:
        ticket = take_ticket(at)
        if ticket >= record.sequences * record.heads:
            break
        _attend_head(record, ticket // record.heads, ticket % record.heads, memory)
