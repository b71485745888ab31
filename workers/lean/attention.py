"""One step's attention in every layer: from normed rows through the QKV product to attended rows.

Rows of one token are attended by a compiled kernel, over the pages; longer rows by another one in bfloat16, else by
torch's fused attention.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from workers.lean.attention_kernel import attention_bfloat16, attention_float32
from workers.lean.jobs import ATTENTION, Jobs
from workers.lean.layer_weights import DecoderNumbers
from workers.lean.openmp import run_kernel
from workers.lean.prefill import PrefillAttention, prefill_attention
from workers.lean.program import Step
from workers.lean.rotary import RotaryTable
from workers.lean.scratch import Scratch
from workers.linear.interface import LinearLayer
from workers.paged_attention.cpu_paged import attend_chunk
from workers.paged_attention.interface import AttentionPlan, LayerArguments, LayerPages, PrefillRow

_PARTS_OF_A_THREAD = 2
SERIAL_BELOW = 1 << 16  # numbers of keys and values below which one thread is as fast


class StepAttention:
    """The attention of one decoder, layer after layer, step after step."""

    def __init__(self, dtype: torch.dtype, rotary_types: Sequence[str], width: int, head_dim: int) -> None:
        """`rotary_types`: which table each layer's heads are rotated by. `width`: numbers in a token's queries, all
        heads together."""
        num_layers = len(rotary_types)
        self._layers_of = {kind: _places(kind, rotary_types) for kind in rotary_types}
        self._kernel = (attention_bfloat16 if dtype == torch.bfloat16 else attention_float32)()
        self._jobs = Jobs(ATTENTION, num_layers)
        self._single_jobs = Jobs(ATTENTION, num_layers)  # of single tokens beside chunks, in programs
        self._output = Scratch(width, dtype)
        self._width, self._head_dim = width, head_dim
        self._prefill = prefill_attention(dtype, head_dim, num_layers)
        self._arguments: list[LayerArguments] = []
        self._numbers: DecoderNumbers | None = None  # owns memory the jobs name
        # of the step that runs; the jobs name its memory
        self._plan: AttentionPlan | None = None
        self._tables: Mapping[str, RotaryTable] = {}
        self._pages: list[LayerPages] = []
        self._threads = 1

    def prepare(self, numbers: DecoderNumbers) -> None:
        """What stays the same for every step."""
        self._numbers = numbers
        self._arguments = [layer.attention for layer in numbers.layers]
        self._jobs.set_all(head_dim=numbers.head_dim, heads=self._width // numbers.head_dim)
        self._jobs.set_all(rounds_first=numbers.rounds_first)
        for job, layer in zip(self._jobs.records, numbers.layers, strict=True):
            if layer.query is not None and layer.key is not None:
                job["query_weight"], job["key_weight"] = layer.query.weight.data_ptr(), layer.key.weight.data_ptr()
                job["norm_eps"] = layer.query.eps
            job["window"], job["scaling"] = layer.attention.sliding_window, layer.attention.scaling
            job["softcap"] = layer.attention.softcap
            job["sinks"] = 0 if layer.sinks is None else layer.sinks.data_ptr()

    def begin(
        self, plan: AttentionPlan, tables: Mapping[str, RotaryTable], pages: list[LayerPages], threads: int
    ) -> None:
        """A step begins; what is given here is used until the next one."""
        if pages is not self._pages:
            self._use_pages(pages)
        self._plan, self._tables, self._threads = plan, tables, threads
        tokens = len(plan.token_page)
        output = self._output.rows(tokens)
        if self._prefill is not None and plan.prefill_rows:
            self._prefill.begin(plan.prefill_rows, tokens, threads)
        self._jobs.set_all(
            next=0,
            tokens=tokens,
            block_size=plan.block_size,
            token_page=plan.token_page.data_ptr(),
            token_offset=plan.token_offset.data_ptr(),
            lengths=plan.single_lengths.data_ptr(),
            longest=int(plan.single_lengths.max()) if len(plan.single_lengths) else 0,
            tables=plan.single_tables.data_ptr(),
            table_width=plan.single_tables.shape[1],
            output=output.data_ptr(),
        )
        records = self._jobs.records
        for kind, table in tables.items():
            layers = self._layers_of[kind]
            records["rotated"][layers] = table.cosine.shape[1]
            records["cosine"][layers], records["sine"][layers] = table.cosine.data_ptr(), table.sine.data_ptr()

    def _use_pages(self, pages: list[LayerPages]) -> None:
        self._pages = pages
        for job, layer in zip(self._jobs.records, pages, strict=True):
            job["keys"], job["values"] = layer.keys.data_ptr(), layer.values.data_ptr()
            job["num_pages"], job["kv_heads"] = layer.keys.shape[0], layer.keys.shape[1]

    def output_at(self, tokens: int) -> int:
        """Where a step of so many tokens leaves its attended rows."""
        return self._output.rows(tokens).data_ptr()

    @property
    def has_kernels(self) -> bool:
        """A program can run the step that has begun."""
        return self._prefill is not None or not self._begun.prefill_rows

    @property
    def mixture(self) -> tuple[bool, bool]:
        """Whether the step that has begun has single tokens beside others, and chunks."""
        return len(self._begun.single_tokens) > 0 and not self._begun.singles_are_all, bool(self._begun.prefill_rows)

    def steps(self, index: int) -> list[Step]:
        """Kernels and jobs of layer `index`, for a program of steps of the same `mixture`."""
        has_singles, has_chunks = self.mixture
        steps = [(self._kernel, self._jobs.address(index))]
        if has_singles:
            steps.append((self._kernel, self._single_jobs.address(index)))
        if self._prefill is not None and has_chunks:
            steps.append(self._prefill.step(index))
        return steps

    def begin_program(self, qkv: torch.Tensor) -> None:
        """The step that has begun is run by a program; each layer's queries, keys and values are at `qkv` then."""
        plan, rows, (has_singles, has_chunks) = self._begun, len(self._begun.token_page), self.mixture
        kv_heads = int(self._jobs.records[0]["kv_heads"])
        at_once = heads_at_once(rows, kv_heads, self._threads)
        self._jobs.set_all(rows=rows, prepares=1, attends=plan.singles_are_all, single_tokens=0, heads_at_once=at_once)
        self._jobs.set_all(next=0, qkv=qkv.data_ptr())
        if has_singles:
            self._single_jobs.records[:] = self._jobs.records
            singles, tokens_at = len(plan.single_tokens), plan.single_tokens.data_ptr()
            at_once = heads_at_once(singles, kv_heads, self._threads)
            self._single_jobs.set_all(prepares=0, attends=1, heads_at_once=at_once)
            self._single_jobs.set_all(rows=singles, single_tokens=tokens_at)
        if self._prefill is not None and has_chunks:
            for index in range(len(self._pages)):
                self._fill_prefill(self._prefill, index, qkv)

    def run(self, index: int, normed: torch.Tensor, product: LinearLayer) -> torch.Tensor:
        """[tokens, heads * head dim] of layer `index`, valid until the next call.

        Keys and values are in their pages then. `product` makes queries, keys and values of rows [tokens, hidden].
        """
        plan, job = self._begun, self._jobs.records[index]
        qkv = product(normed)
        job["qkv"] = qkv.data_ptr()
        tokens = len(plan.token_page)
        output = self._output.rows(tokens)
        if plan.singles_are_all:
            self._run_kernel(index, tokens, prepares=True, attends=True, single_tokens=None)
            return output
        self._run_kernel(index, tokens, prepares=True, attends=False, single_tokens=None)
        if len(plan.single_tokens):
            singles = len(plan.single_tokens)
            self._run_kernel(index, singles, prepares=False, attends=True, single_tokens=plan.single_tokens)
        if self._prefill is not None and plan.prefill_rows:
            self._fill_prefill(self._prefill, index, qkv)
            run_kernel(*self._prefill.step(index), self._threads)
            return output
        for row in plan.prefill_rows:
            self._attend_chunk(index, qkv, row, output)
        return output

    def _fill_prefill(self, prefill: PrefillAttention, index: int, qkv: torch.Tensor) -> None:
        sinks = int(self._jobs.records[index]["sinks"])
        output = self._output.rows(len(qkv))
        prefill.fill_in(index, qkv, self._pages[index], self._arguments[index], sinks, output)

    @property
    def _begun(self) -> AttentionPlan:
        assert self._plan is not None
        return self._plan

    def _run_kernel(
        self, index: int, rows: int, prepares: bool, attends: bool, single_tokens: torch.Tensor | None
    ) -> None:
        job = self._jobs.records[index]
        job["next"], job["rows"], job["prepares"], job["attends"] = 0, rows, prepares, attends
        job["single_tokens"] = 0 if single_tokens is None else single_tokens.data_ptr()
        job["heads_at_once"] = heads_at_once(rows, int(job["kv_heads"]), self._threads)
        work = rows * (int(job["longest"]) if attends else 4) * int(job["kv_heads"]) * self._head_dim
        run_kernel(self._kernel, self._jobs.address(index), 1 if work < SERIAL_BELOW else self._threads)

    def _attend_chunk(self, index: int, qkv: torch.Tensor, row: PrefillRow, output: torch.Tensor) -> None:
        heads, dim = self._width // self._head_dim, self._head_dim
        kv_heads = self._pages[index].keys.shape[1]
        tokens = slice(row.first, row.first + row.num_new)
        query, key, value = qkv[tokens].view(row.num_new, -1, dim).split((heads, kv_heads, kv_heads), dim=1)
        attended = attend_chunk(self._pages[index], query, key, value, self._arguments[index], row)
        output[tokens].view(row.num_new, heads, dim).copy_(attended)


def heads_at_once(rows: int, kv_heads: int, threads: int) -> int:
    """As many as leave each thread a few parts to take."""
    return next(
        count
        for count in range(kv_heads, 0, -1)
        if kv_heads % count == 0 and (count == 1 or rows * (kv_heads // count) >= _PARTS_OF_A_THREAD * threads)
    )


def _places(kind: str, kinds: Sequence[str]) -> slice | npt.NDArray[np.int64]:
    """Where `kind` stands; all places are a slice."""
    return slice(None) if len(set(kinds)) == 1 else np.flatnonzero(np.array(kinds) == kind)
