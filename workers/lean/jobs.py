"""The records kernels are called with: one a layer and kernel, kept between steps, in memory of fixed address.

Fields of type uintp are addresses; rows lie one after the other. A job names memory it does not own: who fills it in
keeps that memory alive until the kernel is through.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

_ADDRESS, _COUNT, _REAL = np.uintp, np.int64, np.float64

ADD_NORM = np.dtype(
    [
        ("next", _COUNT),  # the counter threads take rows from; 0 before a call
        ("rows", _COUNT),
        ("width", _COUNT),
        ("hidden", _ADDRESS),  # [rows, width] changed in place: + delta
        ("delta", _ADDRESS),  # [rows, width]; 0: nothing is added
        ("delta_weight", _ADDRESS),  # float32 [width] of the norm delta goes through first; 0: none
        ("delta_eps", _REAL),
        ("delta_scale", _REAL),  # delta is multiplied by it before it is added
        ("weight", _ADDRESS),  # float32 [width] of the norm of the sum; 0: none, nothing is written to normed
        ("eps", _REAL),
        ("rounds_first", _COUNT),  # 1: rounded to the type before the norms' weights are multiplied
        ("normed", _ADDRESS),  # [rows, width]
    ],
    align=True,
)
GATE = np.dtype(
    [
        ("next", _COUNT),
        ("rows", _COUNT),
        ("width", _COUNT),
        ("activation", _COUNT),  # Activation
        ("gate_up", _ADDRESS),  # [rows, 2 * width] gates, then what they let through
        ("output", _ADDRESS),  # [rows, width]
    ],
    align=True,
)
ATTENTION = np.dtype(
    [
        ("next", _COUNT),
        ("tokens", _COUNT),  # of the step
        ("rows", _COUNT),  # tokens to prepare, or to attend with
        ("prepares", _COUNT),  # 1: norms, rotary embedding, keys and values to their pages
        ("attends", _COUNT),  # 1: attention of single tokens; with `prepares`, those are all tokens in order
        ("heads", _COUNT),
        ("kv_heads", _COUNT),
        ("heads_at_once", _COUNT),  # KV heads a thread takes together; divides kv_heads
        ("head_dim", _COUNT),
        (
            "qkv",
            _ADDRESS,
        ),  # [tokens, (heads + 2 * kv_heads) * head_dim]; queries and keys changed in place by `prepares`
        ("query_weight", _ADDRESS),  # float32 [head_dim] of the norm of queries; 0: none
        ("key_weight", _ADDRESS),
        ("norm_eps", _REAL),
        ("rounds_first", _COUNT),
        ("rotated", _COUNT),  # the first so many numbers of a head are rotated
        ("cosine", _ADDRESS),  # float32 [tokens, rotated]
        ("sine", _ADDRESS),
        ("keys", _ADDRESS),  # [pages, kv_heads, block_size, head_dim]
        ("values", _ADDRESS),
        ("num_pages", _COUNT),
        ("block_size", _COUNT),
        ("token_page", _ADDRESS),  # int64 [tokens]
        ("token_offset", _ADDRESS),  # int64 [tokens]
        ("single_tokens", _ADDRESS),  # int64 [rows]; 0: they are 0, 1, 2, ...
        ("lengths", _ADDRESS),  # int32 [rows]
        ("longest", _COUNT),  # of the lengths
        ("tables", _ADDRESS),  # int32 [rows, table_width]
        ("table_width", _COUNT),
        ("window", _COUNT),
        ("scaling", _REAL),
        ("softcap", _REAL),
        ("sinks", _ADDRESS),  # float32 [heads]; 0: none
        ("output", _ADDRESS),  # [tokens, heads * head_dim]
    ],
    align=True,
)
GATHER = np.dtype(
    [
        ("next", _COUNT),
        ("rows", _COUNT),
        ("row_bytes", _COUNT),
        ("indexes", _ADDRESS),  # int64 [rows] which rows of `source`
        ("source", _ADDRESS),
        ("target", _ADDRESS),
    ],
    align=True,
)
ARGMAX = np.dtype(
    [
        ("next", _COUNT),
        ("rows", _COUNT),
        ("vocab", _COUNT),
        ("logits", _ADDRESS),  # bfloat16 [rows, vocab]
        ("tokens", _ADDRESS),  # int32 [rows]
    ],
    align=True,
)

PREFILL = np.dtype(
    [
        ("next", _COUNT),  # the counter threads take (chunk, KV head) from; 0 before a call
        ("next_scratch", _COUNT),  # 0 before a call
        ("scratch", _ADDRESS),  # `scratch_bytes` for each thread, by `next_scratch`
        ("scratch_bytes", _COUNT),
        ("chunks", _COUNT),
        ("tokens", _COUNT),  # of the step
        ("firsts", _ADDRESS),  # int64 [chunks] index of each chunk's first token in the step
        ("counts", _ADDRESS),  # int64 [chunks] its tokens
        ("starts", _ADDRESS),  # int64 [chunks] its first token's position
        ("table_firsts", _ADDRESS),  # int64 [chunks + 1] where its pages begin in `tables`
        ("tables", _ADDRESS),  # int64 [pages of all chunks]
        ("heads", _COUNT),
        ("kv_heads", _COUNT),
        ("head_dim", _COUNT),
        ("qkv", _ADDRESS),  # bfloat16 [tokens, (heads + 2 * kv_heads) * head_dim], queries normed and rotated
        ("keys", _ADDRESS),  # bfloat16 [pages, kv_heads, block_size, head_dim]
        ("values", _ADDRESS),
        ("num_pages", _COUNT),
        ("block_size", _COUNT),
        ("window", _COUNT),
        ("scaling", _REAL),
        ("softcap", _REAL),
        ("sinks", _ADDRESS),  # float32 [heads]; 0: none
        ("output", _ADDRESS),  # bfloat16 [tokens, heads * head_dim]
    ],
    align=True,
)


def offset_of(record: "np.dtype[np.void]", name: str) -> int:
    """Bytes before a field."""
    fields: Any = record.fields
    return int(fields[name][1])


class Jobs:
    """As many records of one kind as a model has layers."""

    def __init__(self, kind: "np.dtype[np.void]", count: int) -> None:
        self.records: npt.NDArray[np.void] = np.zeros(count, kind)
        self._first: int = self.records.ctypes.data
        self._size: int = kind.itemsize

    def __len__(self) -> int:
        return len(self.records)

    def address(self, index: int) -> int:
        """Of one record, for `run_kernel`."""
        return self._first + index * self._size

    def set_all(self, **fields: Any) -> None:
        """The same value for every record."""
        for name, value in fields.items():
            self.records[name] = value
