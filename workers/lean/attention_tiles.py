"""Attention by tiles, in one thread's scratch memory: TILE_ROWS queries of a head at a time over packed keys and
values.

    | keys | values | queries | scores | weights | result |        for `most` positions, a multiple of TILE_COLUMNS

Scores, softmax and sums are float32; only the factors of products are bfloat16. All but `scratch_bytes` is for
compiled code.
"""

from typing import Any

import numba
import numpy as np

from workers.lean.compiled import INNER, pointer_to, store
from workers.lean.dot_tile import TILE_COLUMNS, TILE_ROWS, dot_tile

_WORD = 4  # bytes of a pair of bfloat16 numbers, or of a float32


def scratch_bytes(most: int, head_dim: int) -> int:
    """Scratch memory of one thread."""
    return 2 * (2 * most * head_dim) + TILE_ROWS * (2 * head_dim + 4 * most + 2 * most + 4 * head_dim)


@numba.njit(**INNER)
def tiles_at(memory: Any, most: Any, dim: Any) -> Any:
    """The parts, views: keys uint32 [dim / 2, most], each word two neighbours of a key; values uint32 [most / 2, dim],
    each word a number of two values that follow one another; queries uint32 [TILE_ROWS, dim / 2]; scores float32 and
    weights bfloat16 [TILE_ROWS, most]; result float32 [TILE_ROWS, dim].
    """
    values_at = memory + np.uintp(2 * most * dim)
    queries_at = values_at + np.uintp(2 * most * dim)
    scores_at = queries_at + np.uintp(TILE_ROWS * 2 * dim)
    weights_at = scores_at + np.uintp(TILE_ROWS * 4 * most)
    result_at = weights_at + np.uintp(TILE_ROWS * 2 * most)
    return (
        numba.carray(pointer_to(memory), (dim // 2, most), np.uint32),
        numba.carray(pointer_to(values_at), (most // 2, dim), np.uint32),
        numba.carray(pointer_to(queries_at), (TILE_ROWS, dim // 2), np.uint32),
        numba.carray(pointer_to(scores_at), (TILE_ROWS, most), np.float32),
        numba.carray(pointer_to(weights_at), (TILE_ROWS, most), np.uint16),
        numba.carray(pointer_to(result_at), (TILE_ROWS, dim), np.float32),
    )


@numba.njit(**INNER)
def take_queries(pairs: Any, first: Any, rows: Any, column: Any, queries: Any) -> None:
    """Rows `first` ... of a step's queries, from pair `column` on; what is missing of a tile repeats the last."""
    for r in range(TILE_ROWS):
        source, target = pairs[first + min(r, rows - 1), column : column + queries.shape[1]], queries[r]
        for i in range(len(target)):
            target[i] = source[i]


@numba.njit(**INNER)
def score_keys(queries: Any, keys: Any, low: Any, high: Any, scores: Any) -> None:
    """Products of the queries with the keys at `low` to `high`, multiples of TILE_COLUMNS."""
    depth, stride = keys.shape[0], keys.shape[1] * _WORD
    queries_at, keys_at, scores_at = _at(queries), _at(keys), _at(scores)
    for t in range(low, high, TILE_COLUMNS):
        at = np.uintp(t * _WORD)
        dot_tile(queries_at, depth * _WORD, keys_at + at, stride, depth, scores_at + at, stride)


@numba.njit(**INNER)
def sum_values(weights: Any, values: Any, low: Any, high: Any, result: Any) -> None:
    """The values at `low` to `high`, multiples of TILE_COLUMNS, by their weights."""
    stride = values.shape[1] * _WORD
    weights_at, values_at, result_at = _at(weights) + np.uintp(2 * low), _at(values), _at(result)
    begin = values_at + np.uintp(low // 2 * stride)
    for d in range(0, values.shape[1], TILE_COLUMNS):
        at = np.uintp(d * _WORD)
        dot_tile(weights_at, 2 * weights.shape[1], begin + at, stride, (high - low) // 2, result_at + at, stride)


@numba.njit(**INNER)
def give_out(result: Any, shares: Any, rows: Any, output: Any, first: Any, column: Any) -> None:
    """Rows of the result, each times its share, to rows `first` ... of the output from `column` on."""
    for r in range(rows):
        share = shares[r]
        target, summed = output[first + r, column : column + result.shape[1]], result[r]
        for d in range(len(target)):
            store(target, d, summed[d] * share)


@numba.njit(**INNER)
def _at(array: Any) -> Any:
    return np.uintp(array.ctypes.data)
