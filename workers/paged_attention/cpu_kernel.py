"""The compiled kernel behind `cpu_paged.py`: decoding over KV pages without gathering them.

Parallel over (token, KV head); all query heads that share a KV head go together, so each key and value is read
once. Softmax is online, in float32. bfloat16 arrives as uint16 and is widened by a shift. Compiled once per type
and kept on disk where the cache folder can be written.
"""

import os
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from workers.paged_attention.kernel_cache import CAN_CACHE

# numba's own threads sleep between calls. Its OpenMP pool is not torch's, and would spin on cores torch needs next.
# Said in the environment, because numba reads that again whenever it compiles something.
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"
numba.config.reload_config()

# Sums may be reordered (that makes them vectors), but NaN and infinity keep their meaning: a broken row must show.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_LOWEST = np.float32(-1e30)


def _widen(source: Any, bits: Any) -> None:
    """Copy a row of the pages' type into `bits`, the uint32 image of float32 numbers."""
    raise NotImplementedError("compiled code only")


@overload(_widen, inline="always")
def _widen_overload(source: Any, bits: Any) -> Any:
    if source.dtype == numba.uint16:

        def from_bfloat16(source: Any, bits: Any) -> None:
            for d in range(source.shape[0]):
                bits[d] = np.uint32(source[d]) << np.uint32(16)

        return from_bfloat16

    def from_float32(source: Any, bits: Any) -> None:
        wide = bits.view(np.float32)
        for d in range(source.shape[0]):
            wide[d] = source[d]

    return from_float32


def _narrow(bits: Any, target: Any) -> None:
    """Copy float32 numbers (their uint32 image) into a row of the pages' type, rounding to nearest even."""
    raise NotImplementedError("compiled code only")


@overload(_narrow, inline="always")
def _narrow_overload(bits: Any, target: Any) -> Any:
    if target.dtype == numba.uint16:

        def to_bfloat16(bits: Any, target: Any) -> None:
            for d in range(target.shape[0]):
                odd = (bits[d] >> np.uint32(16)) & np.uint32(1)
                target[d] = np.uint16((bits[d] + np.uint32(0x7FFF) + odd) >> np.uint32(16))

        return to_bfloat16

    def to_float32(bits: Any, target: Any) -> None:
        wide = bits.view(np.float32)
        for d in range(target.shape[0]):
            target[d] = wide[d]

    return to_float32


@numba.njit(parallel=True, fastmath=_FAST, cache=CAN_CACHE, nogil=True)
def attend_single_tokens(
    query: Any,  # [n, heads, key dim]
    new_keys: Any,  # [n, KV heads, key dim]: written to the pages first, if `write`
    new_values: Any,  # [n, KV heads, value dim]
    write: bool,
    keys: Any,  # [pages, KV heads, block size, key dim]
    values: Any,  # [pages, KV heads, block size, value dim]
    tables: Any,  # int32 [n, width]
    lengths: Any,  # int32 [n]
    window: int,
    scaling: float,
    softcap: float,
    sinks: Any,  # float32 [heads], or [0] for none
    output: Any,  # [n, heads, value dim]
) -> None:
    """Write each token's key and value to its page, then attend to its sequence's positions up to itself."""
    num_heads, key_dim = query.shape[1], query.shape[2]
    num_kv_heads, block_size = keys.shape[1], keys.shape[2]
    value_dim = values.shape[3]
    group = num_heads // num_kv_heads
    for item in numba.prange(query.shape[0] * num_kv_heads):
        row = item // num_kv_heads
        head = item % num_kv_heads
        length = lengths[row]
        if write:
            last_page = tables[row, (length - 1) // block_size]
            keys[last_page, head, (length - 1) % block_size, :] = new_keys[row, head, :]
            values[last_page, head, (length - 1) % block_size, :] = new_values[row, head, :]
        bits = np.empty(max(key_dim, value_dim), np.uint32)
        wide = bits.view(np.float32)
        query_bits = np.empty((group, key_dim), np.uint32)
        sums = np.zeros((group, value_dim), np.float32)
        scores = np.empty((group, block_size), np.float32)
        highest = np.full(group, _LOWEST, np.float32)
        total = np.zeros(group, np.float32)
        for g in range(group):
            _widen(query[row, head * group + g], query_bits[g])
            if sinks.shape[0] > 0:
                highest[g] = sinks[head * group + g]
                total[g] = 1.0
        queries = query_bits.view(np.float32)
        first = max(length - window, 0) if window > 0 else 0
        for index in range(first // block_size, (length + block_size - 1) // block_size):
            page = tables[row, index]
            low = max(first - index * block_size, 0)
            high = min(length - index * block_size, block_size)
            for t in range(low, high):
                _widen(keys[page, head, t], bits[:key_dim])
                for g in range(group):
                    dot = np.float32(0.0)
                    for d in range(key_dim):
                        dot += queries[g, d] * wide[d]
                    scores[g, t] = dot * np.float32(scaling)
            for g in range(group):
                best = highest[g]
                for t in range(low, high):
                    if softcap > 0:
                        scores[g, t] = np.float32(softcap) * np.tanh(scores[g, t] / np.float32(softcap))
                    best = max(best, scores[g, t])
                fade = np.exp(highest[g] - best)
                highest[g] = best
                page_sum = np.float32(0.0)
                for t in range(low, high):
                    scores[g, t] = np.exp(scores[g, t] - best)
                    page_sum += scores[g, t]
                total[g] = total[g] * fade + page_sum
                for d in range(value_dim):
                    sums[g, d] *= fade
            for t in range(low, high):
                _widen(values[page, head, t], bits[:value_dim])
                for g in range(group):
                    weight = scores[g, t]
                    for d in range(value_dim):
                        sums[g, d] += weight * wide[d]
        for g in range(group):
            for d in range(value_dim):
                wide[d] = sums[g, d] / total[g]
            _narrow(bits[:value_dim], output[row, head * group + g])
