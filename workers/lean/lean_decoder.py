"""Runs a decoder's layers by five products and three kernels each, on a step's flattened tokens.

Usable without any process. What a stream is, or a scheduler, is not known here. Numbers agree with transformers'
modules: rounding happens where they round.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from workers.lean.argmax import argmax_bfloat16
from workers.lean.attention import StepAttention
from workers.lean.elementwise_kernels import add_norm_bfloat16, add_norm_float32, gate_bfloat16, gate_float32
from workers.lean.jobs import ADD_NORM, GATE, Jobs
from workers.lean.layer_weights import DecoderNumbers, Norm, read_numbers
from workers.lean.openmp import run_kernel
from workers.lean.plain_linear import layer_of
from workers.lean.rotary import Rotary
from workers.lean.scratch import Scratch
from workers.lean.step_program import StepProgram
from workers.lean.structure import UnusualStructure, attention_arguments, read_structure
from workers.linear.interface import LinearLayer
from workers.paged_attention.interface import AttentionPlan, LayerPages

# Below so many numbers a kernel is done before a second thread has joined in.
SERIAL_BELOW = 1 << 13


class LeanDecoder:
    """One model's layers and head. Used by one thread; keeps scratch memory between calls."""

    def __init__(self, model: nn.Module, layers: Mapping[tuple[str, ...], LinearLayer]) -> None:
        """`layers`: what multiplies with the groups of `linear_groups`; groups that are missing are multiplied by
        their modules. Raises UnusualStructure. Computes nothing, starts no thread; reads kernels from disk, or
        compiles them where they were never compiled for this type of numbers.
        """
        self._config: Any = model.config.get_text_config()  # type: ignore[operator, union-attr]
        self._parts = read_structure(model)
        self._dtype: torch.dtype = self._parts.embedding.weight.dtype
        self._arguments = tuple(attention_arguments(layer.attention) for layer in self._parts.layers)
        self._products = [
            tuple(layer_of(model, group, layers) for group in (layer.qkv, layer.output, layer.gate_up, layer.down))
            for layer in self._parts.layers
        ]
        if (
            len({tuple((layer.in_features, layer.out_features) for layer in products) for products in self._products})
            > 1
        ):
            raise UnusualStructure("its layers are of several shapes")  # scratch memory and jobs have room for one
        self._head = layer_of(model, self._parts.head, layers)
        is_narrow = self._dtype == torch.bfloat16
        self._add_norm = (add_norm_bfloat16 if is_narrow else add_norm_float32)()
        self._gate = (gate_bfloat16 if is_narrow else gate_float32)()
        if is_narrow:
            argmax_bfloat16()  # of the logits, read from disk now rather than at the first step
        first = self._products[0]
        self._width, self._inner = first[0].in_features, first[3].in_features
        self._hidden, self._normed = Scratch(self._width, self._dtype), Scratch(self._width, self._dtype)
        self._gated = Scratch(self._inner, self._dtype)
        head_dim = int(self._parts.layers[0].attention.head_dim)
        self._rotary = Rotary(self._parts, self._dtype)
        self._attention = StepAttention(self._dtype, self._rotary.types, first[1].in_features, head_dim)
        self._numbers: DecoderNumbers | None = None
        self._keeps = False  # see `states_once`
        self._kept: torch.Tensor | None = None
        # Jobs 2 * i and 2 * i + 1 are those before and within layer i, the last one is that of the head.
        self._norm_jobs = Jobs(ADD_NORM, 2 * len(self._parts.layers) + 2)
        self._gate_jobs = Jobs(GATE, 1)
        norm, gate = (self._add_norm, self._norm_jobs), (self._gate, self._gate_jobs)
        self._program = StepProgram(self._products, self._head, self._attention, norm, gate, self._dtype)

    def step(
        self,
        token_ids: torch.Tensor,
        position_ids: torch.Tensor,
        pages: list[LayerPages],
        plan: AttentionPlan,
        wanted: torch.Tensor,
    ) -> torch.Tensor:
        """[wanted tokens, vocab] logits in the model's type, valid until the next call; keys and values are in their
        pages. They may be changed.

        token_ids and position_ids int64 [tokens]; wanted int64, ascending, without repetition.
        """
        if self._keeps:
            return self.logits(self.states(token_ids, position_ids, pages, plan, wanted))
        hidden, normed, threads = self._begin(token_ids, position_ids, pages, plan)
        program = self._program
        if not program.run(hidden, normed, wanted, torch.get_num_threads()):
            return self.logits(self._run_layers(hidden, normed, threads, wanted))
        return self.logits(program.states) if program.logits is None else self._scaled(program.logits)

    def states(
        self,
        token_ids: torch.Tensor,
        position_ids: torch.Tensor,
        pages: list[LayerPages],
        plan: AttentionPlan,
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """[wanted tokens, hidden]: what `logits` takes, valid until the next call. As `step`; None: all tokens."""
        if self._keeps:
            if self._kept is None:
                self._kept = self._run_layers(*self._begin(token_ids, position_ids, pages, plan), None)
            return self._kept if wanted is None else self._kept[wanted]
        return self._run_layers(*self._begin(token_ids, position_ids, pages, plan), wanted)

    def _begin(
        self, token_ids: torch.Tensor, position_ids: torch.Tensor, pages: list[LayerPages], plan: AttentionPlan
    ) -> tuple[torch.Tensor, torch.Tensor, int]:
        """The residual stream, filled with the tokens' embeddings, and what `_begin_rows` gives."""
        numbers = self._numbers or self._prepare()
        hidden = self._embed(token_ids, numbers)
        self._attention.begin(plan, self._rotary.tables(position_ids), pages, torch.get_num_threads())
        return hidden, *self._begin_rows(hidden)

    def _run_layers(
        self, hidden: torch.Tensor, normed: torch.Tensor, threads: int, wanted: torch.Tensor | None
    ) -> torch.Tensor:
        """`states` of a step that has begun."""
        count = len(hidden)
        self._run_norm(0, None, threads)
        for index, (qkv, output, gate_up, down) in enumerate(self._products):
            attended = self._attention.run(index, normed, qkv)
            if index == len(self._products) - 1 and wanted is not None and len(wanted) < count:
                # nothing of the others is needed any more but their keys and values
                hidden, attended = hidden[wanted], attended[wanted]
                if not len(wanted):
                    return hidden
                normed, threads = self._begin_rows(hidden)
            self._run_norm(2 * index + 1, output(attended), threads)
            gated = self._run_gate(gate_up(normed), len(hidden), threads)
            self._run_norm(2 * index + 2, down(gated), threads)
        return hidden

    def _begin_rows(self, hidden: torch.Tensor) -> tuple[torch.Tensor, int]:
        """Norms add to `hidden` from now on; where they leave the normed rows, and how many threads they take."""
        normed = self._normed.rows(len(hidden))
        self._norm_jobs.set_all(next=0, rows=len(hidden), hidden=hidden.data_ptr(), normed=normed.data_ptr())
        return normed, 1 if len(hidden) * self._width < SERIAL_BELOW else torch.get_num_threads()

    @contextmanager
    def states_once(self) -> Iterator[None]:
        """Inside, `states` computes at its first call only and gives the same again: its calls must be for one step."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps, self._kept = False, None

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """[n, vocab] in the model's type, a new tensor, for n of the rows `states` gave."""
        count = len(states)
        normed = self._normed.rows(count)
        states = states.contiguous()
        self._norm_jobs.records[-1]["hidden"] = states.data_ptr()
        self._norm_jobs.records[-1]["normed"] = normed.data_ptr()
        self._norm_jobs.records[-1]["rows"] = count
        self._norm_jobs.records[-1]["next"] = 0
        run_kernel(self._add_norm, self._norm_jobs.address(len(self._norm_jobs) - 1), 1)
        return self._scaled(self._head(normed))

    def _scaled(self, found: torch.Tensor) -> torch.Tensor:
        """Logits of what the head gives."""
        numbers = self._numbers or self._prepare()
        if numbers.logits_scale != 1.0:
            found = found / numbers.logits_scale
        if numbers.logits_softcap > 0:
            found = torch.tanh(found / numbers.logits_softcap) * numbers.logits_softcap
        return found

    def _embed(self, token_ids: torch.Tensor, numbers: DecoderNumbers) -> torch.Tensor:
        hidden = self._hidden.rows(len(token_ids))
        if type(self._parts.embedding) is nn.Embedding:
            torch.index_select(self._parts.embedding.weight, 0, token_ids, out=hidden)
        else:
            hidden.copy_(self._parts.embedding(token_ids))
        if numbers.embedding_scale != 1.0:
            hidden.mul_(numbers.embedding_scale)
        return hidden

    def _run_norm(self, index: int, delta: torch.Tensor | None, threads: int) -> None:
        self._norm_jobs.records["delta"][index] = 0 if delta is None else delta.data_ptr()
        run_kernel(self._add_norm, self._norm_jobs.address(index), threads)

    def _run_gate(self, gate_up: torch.Tensor, count: int, threads: int) -> torch.Tensor:
        gated = self._gated.rows(count)
        job = self._gate_jobs.records[0]
        job["next"], job["rows"] = 0, count
        job["gate_up"], job["output"] = gate_up.data_ptr(), gated.data_ptr()
        run_kernel(self._gate, self._gate_jobs.address(0), threads)
        return gated

    def _prepare(self) -> DecoderNumbers:
        """Everything that must be computed once. Raises UnusualStructure."""
        numbers = read_numbers(self._config, self._parts, self._arguments)
        jobs = self._norm_jobs
        jobs.set_all(width=self._width, delta_scale=numbers.residual_scale, rounds_first=numbers.rounds_first)
        for index, layer in enumerate(numbers.layers):
            _set_norm(jobs, 2 * index, layer.before_attention)
            _set_norm(jobs, 2 * index + 1, layer.before_mlp)
            _set_delta_norm(jobs, 2 * index + 1, layer.after_attention)
            _set_delta_norm(jobs, 2 * index + 2, layer.after_mlp)
        _set_norm(jobs, len(jobs) - 1, numbers.norm)
        self._gate_jobs.set_all(width=self._inner, activation=int(numbers.activation))
        self._attention.prepare(numbers)
        self._numbers = numbers
        return numbers


def _set_norm(jobs: Jobs, index: int, norm: Norm) -> None:
    jobs.records["weight"][index], jobs.records["eps"][index] = norm.weight.data_ptr(), norm.eps


def _set_delta_norm(jobs: Jobs, index: int, norm: Norm | None) -> None:
    if norm is not None:
        jobs.records["delta_weight"][index], jobs.records["delta_eps"][index] = norm.weight.data_ptr(), norm.eps
