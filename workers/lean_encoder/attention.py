"""Attention of packed sequences: every sequence sees itself, whole."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from workers.lean.attention_tiles import scratch_bytes
from workers.lean.bfloat16_products import has_products
from workers.lean.dot_tile import TILE_COLUMNS
from workers.lean.jobs import Jobs
from workers.lean.openmp import run_kernel
from workers.lean_encoder.attention_kernel import attend_bfloat16, padded
from workers.lean_encoder.jobs import ATTEND


class PackedAttention:
    """One encoder's attention; keeps scratch memory between calls. Used by one thread."""

    def __init__(self, heads: int, head_dim: int, scaling: float, dtype: torch.dtype) -> None:
        self._heads, self._scaling = heads, scaling
        self._compiled = dtype is torch.bfloat16 and head_dim % TILE_COLUMNS == 0 and has_products()
        if self._compiled:
            attend_bfloat16()  # read from disk, or compiled, once: before workers are forked
        self._head_dim = head_dim
        self._jobs = Jobs(ATTEND, 1)
        self._jobs.set_all(heads=heads, head_dim=head_dim, scaling=scaling)
        self._scratch = torch.empty(0, dtype=torch.uint8)

    def attend(self, qkv: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """[tokens, width] for the queries, keys and values [tokens, 3 * width] of sequences of these lengths."""
        output = qkv.new_empty(qkv.shape[0], qkv.shape[1] // 3)
        if self._compiled:
            self._attend_compiled(qkv, lengths, output)
        else:
            self._attend_each(qkv, lengths, output)
        return output

    def _attend_compiled(self, qkv: torch.Tensor, lengths: Sequence[int], output: torch.Tensor) -> None:
        threads = torch.get_num_threads()
        size = scratch_bytes(padded(max(lengths)), self._head_dim)
        if len(self._scratch) < size * threads + 64:
            self._scratch = torch.empty(2 * size * threads + 64, dtype=torch.uint8)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._jobs.set_all(
            next=0,
            next_scratch=0,
            sequences=len(lengths),
            starts=starts.ctypes.data,
            qkv=qkv.data_ptr(),
            output=output.data_ptr(),
            scratch=-(-self._scratch.data_ptr() // 64) * 64,
            scratch_bytes=size,
        )
        run_kernel(attend_bfloat16(), self._jobs.address(0), threads)

    def _attend_each(self, qkv: torch.Tensor, lengths: Sequence[int], output: torch.Tensor) -> None:
        parts = [part.unflatten(1, (self._heads, -1)).transpose(0, 1)[None] for part in qkv.split(output.shape[1], 1)]
        first = 0
        for length in lengths:
            query, key, value = (part[:, :, first : first + length] for part in parts)
            attended = F.scaled_dot_product_attention(query, key, value, scale=self._scaling)
            output[first : first + length] = attended[0].transpose(0, 1).flatten(1)
            first += length
