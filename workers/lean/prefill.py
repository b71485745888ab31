"""Attention of a step's prefill chunks in one layer, where the processor multiplies bfloat16 numbers."""

import numpy as np
import numpy.typing as npt
import torch

from workers.lean.attention_tiles import scratch_bytes
from workers.lean.bfloat16_products import has_products
from workers.lean.dot_tile import TILE_COLUMNS
from workers.lean.jobs import PREFILL, Jobs
from workers.lean.openmp import run_kernel
from workers.lean.prefill_kernel import prefill_bfloat16, room_for
from workers.paged_attention.interface import LayerArguments, LayerPages, PrefillRow

_LINE = 64  # bytes of memory that come at once


class PrefillAttention:
    """All chunks of a step at once, layer after layer; keeps scratch memory between steps. Used by one thread."""

    def __init__(self) -> None:
        """The kernel is read from disk, or compiled, now: workers are forked afterwards."""
        self._kernel = prefill_bfloat16()
        self._jobs = Jobs(PREFILL, 1)
        self._scratch = torch.empty(0, dtype=torch.uint8)
        self._threads = 1
        self._named: list[npt.NDArray[np.int64]] = []  # memory the job names

    def begin(self, rows: tuple[PrefillRow, ...], num_tokens: int, threads: int) -> None:
        """A step begins with these chunks, at least one, among its `num_tokens` tokens."""
        tables = [row.pages.numpy() for row in rows]
        firsts = np.cumsum([0, *(len(table) for table in tables)])
        fields = [[getattr(row, name) for row in rows] for name in ("first", "num_new", "start")]
        self._named = [np.array(numbers, np.int64) for numbers in (*fields, firsts, np.concatenate(tables))]
        names = ("firsts", "counts", "starts", "table_firsts", "tables")
        addresses = {name: numbers.ctypes.data for name, numbers in zip(names, self._named, strict=True)}
        self._jobs.set_all(chunks=len(rows), tokens=num_tokens, **addresses)
        self._threads = threads
        self._longest = max(row.start + row.num_new for row in rows)

    def run(
        self,
        qkv: torch.Tensor,
        head_dim: int,
        pages: LayerPages,
        arguments: LayerArguments,
        sinks: int,
        output: torch.Tensor,
    ) -> None:
        """Attended rows to `output` [tokens, heads * head dim], those of the chunks only.

        qkv [tokens, (heads + 2 * KV heads) * head dim], normed and rotated; its keys and values are in the pages
        already. `sinks`: address of float32 [heads], or 0.
        """
        size = -(-scratch_bytes(room_for(self._longest), head_dim) // _LINE) * _LINE
        if len(self._scratch) < size * self._threads + _LINE:
            self._scratch = torch.empty(size * self._threads * 5 // 4 + _LINE, dtype=torch.uint8)
        self._jobs.set_all(
            next=0,
            next_scratch=0,
            scratch=-(-self._scratch.data_ptr() // _LINE) * _LINE,
            scratch_bytes=size,
            heads=output.shape[1] // head_dim,
            kv_heads=pages.keys.shape[1],
            head_dim=head_dim,
            qkv=qkv.data_ptr(),
            keys=pages.keys.data_ptr(),
            values=pages.values.data_ptr(),
            num_pages=pages.keys.shape[0],
            block_size=pages.keys.shape[2],
            window=arguments.sliding_window,
            scaling=arguments.scaling,
            softcap=arguments.softcap,
            sinks=sinks,
            output=output.data_ptr(),
        )
        run_kernel(self._kernel, self._jobs.address(0), self._threads)


def prefill_attention(dtype: torch.dtype, head_dim: int) -> PrefillAttention | None:
    """None: such rows go through torch's fused attention."""
    if dtype is not torch.bfloat16 or head_dim % TILE_COLUMNS or not has_products():
        return None
    return PrefillAttention()
