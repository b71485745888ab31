"""A step of a few single tokens through all layers and the head, as one program of kernels."""

from collections.abc import Sequence

import torch

from workers.lean.attention import StepAttention
from workers.lean.jobs import GATE, Jobs
from workers.lean.program import Program, Step, can_run
from workers.lean.scratch import Scratch
from workers.linear.interface import MOST_FEW_ROWS, FewRowsLayer, LinearLayer


class DecodeProgram:
    """All layers of one decoder and its head. Used by one thread; keeps scratch memory between steps.

    ADD_NORM jobs 2 * i and 2 * i + 1 are those before and within layer i, the last one is that of the head.
    """

    def __init__(
        self,
        products: Sequence[Sequence[LinearLayer]],
        head: LinearLayer,
        attention: StepAttention,
        norm: tuple[int, Jobs],
        gate: tuple[int, Jobs],
        dtype: torch.dtype,
    ) -> None:
        """`products`: those of each layer. `norm` and `gate`: kernels and their jobs, of `gate` one. Computes nothing;
        reads a kernel from disk, or compiles it.
        """
        self._attention, self._norm = attention, norm
        self._gate_kernel, self._gate_model = gate
        self._gate_jobs = Jobs(GATE, len(products))
        self._layers = [[layer for layer in layers if isinstance(layer, FewRowsLayer)] for layers in products]
        self._head = head if isinstance(head, FewRowsLayer) else None
        self._has_head = False  # the program
        # [tokens, vocab] as the head gives them, of the step that was run last, valid until the next one; None: the
        # head has no kernels for so few rows and was left out.
        self.logits: torch.Tensor | None = None
        self._is_possible = all(len(layers) == 4 for layers in self._layers) and can_run()
        qkv, output, gate_up, down = products[0]
        sizes = (qkv.out_features, output.out_features, gate_up.out_features, down.in_features)
        self._scratch = [Scratch(size, dtype) for size in sizes]
        self._logits = Scratch(head.out_features, dtype)
        self._built_for: tuple[int, ...] = ()
        self._program: Program | None = None

    def run(self, hidden: torch.Tensor, normed: torch.Tensor, threads: int) -> bool:
        """Compute a step that `attention` has begun, all of it single tokens, from `hidden` [tokens, width] to there
        and `logits`. False: nothing was done, there are no kernels for it.
        """
        count = len(hidden)
        if not self._is_possible or count > MOST_FEW_ROWS:
            return False
        program = self._program_for(hidden, normed)
        if program is None:
            return False
        _, norm_jobs = self._norm
        qkv, result, _, _ = map(self._rows, self._scratch)
        norm_jobs.set_all(next=0, rows=count, hidden=hidden.data_ptr(), normed=normed.data_ptr())
        norm_jobs.records["delta"][0] = 0
        norm_jobs.records["delta"][1:-1] = result.data_ptr()  # the head's adds nothing
        self._attention.begin_program(qkv)
        program.run(threads)
        self.logits = self._rows(self._logits)[:count] if self._has_head else None
        return True

    def _rows(self, scratch: Scratch) -> torch.Tensor:
        return scratch.rows(MOST_FEW_ROWS)

    def _program_for(self, hidden: torch.Tensor, normed: torch.Tensor) -> Program | None:
        attended = self._attention.output_at(len(hidden))
        made_of = (len(hidden), normed.data_ptr(), attended)
        if made_of != self._built_for:
            steps = self._steps(len(hidden), normed.data_ptr(), attended)
            self._built_for, self._program = made_of, None if steps is None else Program(steps)
        return self._program

    def _steps(self, count: int, normed: int, attended: int) -> list[Step] | None:
        (norm, norm_jobs), (qkv_rows, results, gate_ups, gateds) = self._norm, map(self._rows, self._scratch)
        self._gate_jobs.records[:] = self._gate_model.records[0]
        self._gate_jobs.set_all(next=0, rows=count, gate_up=gate_ups.data_ptr(), output=gateds.data_ptr())
        parts: list[list[Step] | None] = [[(norm, norm_jobs.address(0))]]
        for index, (qkv, output, gate_up, down) in enumerate(self._layers):
            parts += (
                qkv.few_rows_steps(count, normed, qkv_rows.data_ptr()),
                [self._attention.step(index)],
                output.few_rows_steps(count, attended, results.data_ptr()),
                [(norm, norm_jobs.address(2 * index + 1))],
                gate_up.few_rows_steps(count, normed, gate_ups.data_ptr()),
                [(self._gate_kernel, self._gate_jobs.address(index))],
                down.few_rows_steps(count, gateds.data_ptr(), results.data_ptr()),
                [(norm, norm_jobs.address(2 * index + 2))],
            )
        steps: list[Step] = []
        for part in parts:
            if part is None:
                return None
            steps += part
        logits = self._rows(self._logits).data_ptr()
        last = None if self._head is None else self._head.few_rows_steps(count, normed, logits)
        self._has_head = last is not None
        if last is not None:
            steps += [(norm, norm_jobs.address(len(norm_jobs) - 1)), *last]
        return steps
