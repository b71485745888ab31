"""Attention of prompts' chunks over bfloat16 KV pages, compiled.

Each thread takes a KV head of a chunk and lays the keys and values that the chunk sees in the order the processor
multiplies them in, straight from their pages. Eight queries at a time then see what is before them and no more: nothing
is masked. Scores, softmax and sums are float32; only factors are bfloat16.
"""

from typing import Any

import numba
import numpy as np

from workers.lean.attention_tiles import give_out, score_keys, sum_values, take_queries, tiles_at
from workers.lean.compiled import INNER, exponential, kernel, largest, pointer_to, sigmoid, store, take_ticket
from workers.lean.dot_tile import TILE_COLUMNS, TILE_ROWS
from workers.lean.jobs import PREFILL, offset_of

_NEXT_SCRATCH = offset_of(PREFILL, "next_scratch")


def room_for(longest: int) -> int:
    """Positions there must be room for, where the longest chunk sees so many, its own included."""
    return (longest // TILE_COLUMNS + 2) * TILE_COLUMNS


@numba.njit(**INNER)
def _pack_keys(pages: Any, table: Any, head: Any, origin: Any, length: Any, keys: Any) -> None:
    """Pairs of numbers of the keys at positions `origin` to `length`: keys [head_dim / 2, padded], 0 beyond."""
    block_size = pages.shape[2]
    for block in range(origin // block_size, (length + block_size - 1) // block_size):
        page = pages[table[block], head]
        low, high = max(origin - block * block_size, 0), min(length - block * block_size, block_size)
        at = block * block_size + low - origin
        for i in range(keys.shape[0]):
            target = keys[i, at : at + high - low]
            for t in range(high - low):
                target[t] = page[low + t, i]
    for i in range(keys.shape[0]):
        rest = keys[i, length - origin :]
        for t in range(len(rest)):
            rest[t] = np.uint32(0)


@numba.njit(**INNER)
def _pack_values(pages: Any, table: Any, head: Any, origin: Any, length: Any, values: Any) -> None:
    """Each number of two values that follow one another, from the even position `origin` on: [padded / 2, head_dim]."""
    block_size, dim = pages.shape[2], values.shape[1]
    for pair in range(values.shape[0]):
        target, t = values[pair], origin + 2 * pair
        if t + 1 < length:
            first = pages[table[t // block_size], head, t % block_size]
            second = pages[table[(t + 1) // block_size], head, (t + 1) % block_size]
            for d in range(dim):
                target[d] = np.uint32(first[d]) | np.uint32(np.uint32(second[d]) << np.uint32(16))
        elif t < length:
            last = pages[table[t // block_size], head, t % block_size]
            for d in range(dim):
                target[d] = np.uint32(last[d])
        else:
            for d in range(dim):
                target[d] = np.uint32(0)


@numba.njit(**INNER)
def _softmax(scores: Any, scaling: Any, softcap: Any, sink: Any, has_sink: Any, weights: Any) -> Any:
    """Weights of the scores, both [n], not yet divided by their sum, which is given back."""
    factor = scaling
    if softcap > np.float32(0.0):
        for t in range(len(scores)):
            inner = scores[t] * scaling / softcap
            scores[t] = softcap * (np.float32(2.0) * sigmoid(inner + inner) - np.float32(1.0))
        factor = np.float32(1.0)
    best = largest(scores, 0, len(scores))
    if has_sink:
        best = max(best, sink / factor)
    total = exponential(sink - best * factor) if has_sink else np.float32(0.0)
    for t in range(len(scores)):
        weight = exponential((scores[t] - best) * factor)
        total += weight
        store(weights, t, weight)
    return total


@numba.njit(**INNER)
def _attend(job: Any, chunk: Any, kv_head: Any, memory: Any) -> None:
    heads, kv_heads, dim = job.heads, job.kv_heads, job.head_dim
    group, width = heads // kv_heads, (heads + 2 * kv_heads) * dim
    firsts = numba.carray(pointer_to(job.firsts), (job.chunks,), np.int64)
    counts = numba.carray(pointer_to(job.counts), (job.chunks,), np.int64)
    starts = numba.carray(pointer_to(job.starts), (job.chunks,), np.int64)
    table_firsts = numba.carray(pointer_to(job.table_firsts), (job.chunks + 1,), np.int64)
    every_table = numba.carray(pointer_to(job.tables), (table_firsts[job.chunks],), np.int64)
    sinks = numba.carray(pointer_to(job.sinks), (heads,), np.float32)
    first, count, start = firsts[chunk], counts[chunk], starts[chunk]
    table = every_table[table_firsts[chunk] : table_firsts[chunk + 1]]
    length, window = start + count, job.window
    origin = max(start - window + 1, 0) // 2 * 2 if window > 0 else 0
    most = (length - origin + TILE_COLUMNS - 1) // TILE_COLUMNS * TILE_COLUMNS
    pairs = numba.carray(pointer_to(job.qkv), (job.tokens, width // 2), np.uint32)
    output = numba.carray(pointer_to(job.output), (job.tokens, heads * dim), np.uint16)
    keys, values, queries, scores, weights, result = tiles_at(memory, most, dim)
    shape = (job.num_pages, kv_heads, job.block_size, dim)
    key_pages = numba.carray(pointer_to(job.keys), (shape[0], shape[1], shape[2], dim // 2), np.uint32)
    value_pages = numba.carray(pointer_to(job.values), shape, np.uint16)
    _pack_keys(key_pages, table, kv_head, origin, length, keys)
    _pack_values(value_pages, table, kv_head, origin, length, values)
    scaling, softcap = np.float32(job.scaling), np.float32(job.softcap)
    shares = np.empty(TILE_ROWS, np.float32)
    for row in range(0, count, TILE_ROWS):
        rows = min(TILE_ROWS, count - row)
        begin = max(start + row - window + 1, 0) - origin if window > 0 else 0
        low = begin // TILE_COLUMNS * TILE_COLUMNS
        high = (start + row + rows - origin + TILE_COLUMNS - 1) // TILE_COLUMNS * TILE_COLUMNS
        for head in range(kv_head * group, (kv_head + 1) * group):
            column = head * dim
            take_queries(pairs, first + row, rows, column // 2, queries)
            score_keys(queries, keys, low, high, scores)
            sink = sinks[head] if job.sinks != 0 else np.float32(0.0)
            for r in range(rows):
                position = start + row + r
                sees = max(position - window + 1, 0) - origin if window > 0 else 0
                ends = position + 1 - origin
                seen, weight = scores[r, sees:ends], weights[r]
                total = _softmax(seen, scaling, softcap, sink, job.sinks != 0, weight[sees:ends])
                for t in range(low, sees):
                    weight[t] = np.uint16(0)
                for t in range(ends, high):
                    weight[t] = np.uint16(0)
                shares[r] = np.float32(1.0) / total
            sum_values(weights, values, low, high, result)
            give_out(result, shares, rows, output, first + row, column)


@kernel
def prefill_bfloat16(job_at: Any) -> None:
    """A PREFILL job."""
    job = numba.carray(job_at, 1, PREFILL)
    at = np.uintp(job.ctypes.data)
    record = job[0]
    mine: Any = take_ticket(at + np.uintp(_NEXT_SCRATCH))
    memory = np.uintp(record.scratch) + np.uintp(mine * record.scratch_bytes)
    while True:
        ticket = take_ticket(at)
        if ticket >= record.chunks * record.kv_heads:
            break
        _attend(record, ticket // record.kv_heads, ticket % record.kv_heads, memory)
