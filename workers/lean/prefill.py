"""Attention of a step's prefill chunks in one layer, where the processor multiplies bfloat16 numbers."""

import numpy as np
import numpy.typing as npt
import torch

from workers.lean.attention_tiles import scratch_bytes
from workers.lean.bfloat16_products import has_products
from workers.lean.dot_tile import TILE_COLUMNS
from workers.lean.jobs import PREFILL, Jobs
from workers.lean.prefill_kernel import prefill_bfloat16, room_for
from workers.paged_attention.interface import LayerArguments, LayerPages, PrefillRow

_LINE = 64  # bytes of memory that come at once


class PrefillAttention:
    """All chunks of a step at once, layer after layer; keeps scratch memory between steps. Used by one thread."""

    def __init__(self, num_layers: int, head_dim: int) -> None:
        """The kernel is read from disk, or compiled, now: workers are forked afterwards."""
        self._kernel = prefill_bfloat16()
        self._jobs = Jobs(PREFILL, num_layers)
        self._jobs.set_all(head_dim=head_dim)
        self._head_dim = head_dim
        self._scratch = torch.empty(0, dtype=torch.uint8)
        self._named: list[npt.NDArray[np.int64]] = []  # memory the job names

    def begin(self, rows: tuple[PrefillRow, ...], num_tokens: int, threads: int) -> None:
        """A step begins with these chunks, at least one, among its `num_tokens` tokens."""
        tables = [row.pages.numpy() for row in rows]
        firsts = np.cumsum([0, *(len(table) for table in tables)])
        fields = [[getattr(row, name) for row in rows] for name in ("first", "num_new", "start")]
        self._named = [np.array(numbers, np.int64) for numbers in (*fields, firsts, np.concatenate(tables))]
        names = ("firsts", "counts", "starts", "table_firsts", "tables")
        addresses = {name: numbers.ctypes.data for name, numbers in zip(names, self._named, strict=True)}
        longest = max(row.start + row.num_new for row in rows)
        size = -(-scratch_bytes(room_for(longest), self._head_dim) // _LINE) * _LINE
        if len(self._scratch) < size * threads + _LINE:
            self._scratch = torch.empty(size * threads * 5 // 4 + _LINE, dtype=torch.uint8)
        scratch = -(-self._scratch.data_ptr() // _LINE) * _LINE
        self._jobs.set_all(chunks=len(rows), tokens=num_tokens, scratch=scratch, scratch_bytes=size, **addresses)

    def step(self, index: int) -> tuple[int, int]:
        """Kernel and job of layer `index`, which is filled in before it is run."""
        return self._kernel, self._jobs.address(index)

    def fill_in(
        self,
        index: int,
        qkv: torch.Tensor,
        pages: LayerPages,
        arguments: LayerArguments,
        sinks: int,
        output: torch.Tensor,
    ) -> None:
        """Layer `index` gives attended rows to `output` [tokens, heads * head dim], those of the chunks only.

        qkv [tokens, (heads + 2 * KV heads) * head dim], normed and rotated; its keys and values are in the pages
        already. `sinks`: address of float32 [heads], or 0.
        """
        job = self._jobs.records[index]
        job["next"] = job["next_scratch"] = 0
        job["heads"], job["kv_heads"] = output.shape[1] // self._head_dim, pages.keys.shape[1]
        job["qkv"], job["output"], job["sinks"] = qkv.data_ptr(), output.data_ptr(), sinks
        job["keys"], job["values"] = pages.keys.data_ptr(), pages.values.data_ptr()
        job["num_pages"], job["block_size"] = pages.keys.shape[0], pages.keys.shape[2]
        job["window"], job["scaling"] = arguments.sliding_window, arguments.scaling
        job["softcap"] = arguments.softcap


def prefill_attention(dtype: torch.dtype, head_dim: int, num_layers: int) -> PrefillAttention | None:
    """None: such rows go through torch's fused attention."""
    if dtype is not torch.bfloat16 or head_dim % TILE_COLUMNS or not has_products():
        return None
    return PrefillAttention(num_layers, head_dim)
