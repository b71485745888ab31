"""A step through all layers and the head, as one program of kernels."""

from collections.abc import Sequence

import torch

from workers.lean.attention import StepAttention
from workers.lean.gather_kernel import gather_rows
from workers.lean.jobs import GATE, GATHER, Jobs
from workers.lean.program import Program, Step, can_run
from workers.lean.scratch import Scratch
from workers.linear.interface import KernelLayer, LinearLayer


class StepProgram:
    """All layers of one decoder and its head. Used by one thread; keeps scratch memory between steps.

    ADD_NORM jobs 2 * i and 2 * i + 1 are those before and within layer i, the last one is that of the head. In the last
    layer only rows somebody looks at go on behind the attention, gathered.
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
        reads kernels from disk, or compiles them.
        """
        self._attention, self._norm = attention, norm
        self._gate_kernel, self._gate_model = gate
        self._gate_jobs = Jobs(GATE, len(products))
        self._layers = [[layer for layer in layers if isinstance(layer, KernelLayer)] for layers in products]
        self._head = head if isinstance(head, KernelLayer) else None
        self._has_head = False  # the program
        self.states = torch.empty(0)  # [wanted tokens, width] behind the last layer, of the step that was run last
        # [wanted tokens, vocab] as the head gives them, likewise, valid until the next step; None: the head has no
        # kernels for so many rows and was left out.
        self.logits: torch.Tensor | None = None
        self._is_possible = all(len(layers) == 4 for layers in self._layers) and can_run()
        qkv, output, gate_up, down = products[0]
        sizes = (qkv.out_features, output.out_features, gate_up.out_features, down.in_features)
        self._scratch = [Scratch(size, dtype) for size in sizes]
        self._logits = Scratch(head.out_features, dtype)
        self._gathered = [Scratch(size, dtype) for size in (qkv.in_features, output.in_features)]
        self._gather_jobs = Jobs(GATHER, 2)
        self._gather_kernel = gather_rows()
        self._built_for: tuple[int, ...] = ()
        self._program: Program | None = None

    def run(self, hidden: torch.Tensor, normed: torch.Tensor, wanted: torch.Tensor, threads: int) -> bool:
        """Compute a step that `attention` has begun, from `hidden` [tokens, width], which is changed, to `states` and
        `logits` of the `wanted` tokens, int64 and ascending. False: nothing was done, there are no kernels for it.
        """
        if not (self._is_possible and self._attention.has_kernels):
            return False
        count = len(hidden)
        is_whole = len(wanted) == count
        states, attended = (hidden, None) if is_whole else [part.rows(len(wanted)) for part in self._gathered]
        program = self._program_for(hidden, normed, states, attended)
        if program is None:
            return False
        _, norm_jobs = self._norm
        qkv, result, _, _ = (part.rows(count) for part in self._scratch)
        norm_jobs.set_all(next=0, rows=count, hidden=hidden.data_ptr(), normed=normed.data_ptr())
        norm_jobs.records["delta"][0] = 0
        norm_jobs.records["delta"][1:-1] = result.data_ptr()  # the head's adds nothing
        if not is_whole:
            behind = norm_jobs.records[-3:]  # within and behind the last layer, and the head's
            behind["rows"], behind["hidden"] = len(wanted), states.data_ptr()
            self._gather_jobs.set_all(indexes=wanted.data_ptr())
        self._attention.begin_program(qkv)
        program.run(threads)
        self.states = states
        self.logits = self._logits.rows(len(wanted)) if self._has_head else None
        return True

    def _program_for(
        self, hidden: torch.Tensor, normed: torch.Tensor, states: torch.Tensor, attended: torch.Tensor | None
    ) -> Program | None:
        parts = [part.rows(len(hidden)) for part in self._scratch] + [hidden, normed, states]
        places = [part.data_ptr() for part in parts] + [self._attention.output_at(len(hidden))]
        made_of = (len(hidden), len(states), *self._attention.mixture, *places)
        if made_of != self._built_for:
            steps = self._steps(hidden, normed, states, attended)
            self._built_for, self._program = made_of, None if steps is None else Program(steps)
        return self._program

    def _steps(
        self, hidden: torch.Tensor, normed: torch.Tensor, states: torch.Tensor, attended: torch.Tensor | None
    ) -> list[Step] | None:
        """`attended`: where the wanted ones of the attended rows are gathered; None: all tokens are wanted."""
        norm, norm_jobs = self._norm
        count, rows_at, normed_at = len(hidden), self._attention.output_at(len(hidden)), normed.data_ptr()
        qkv_rows, results, gate_ups, gateds = (part.rows(count).data_ptr() for part in self._scratch)
        self._gate_jobs.records[:] = self._gate_model.records[0]
        self._gate_jobs.set_all(next=0, gate_up=gate_ups, output=gateds)
        self._has_head = False
        parts: list[list[Step] | None] = [[(norm, norm_jobs.address(0))]]
        for index, (qkv, output, gate_up, down) in enumerate(self._layers):
            parts += (qkv.kernel_steps(count, normed_at, qkv_rows), self._attention.steps(index))
            if attended is not None and index == len(self._layers) - 1:
                count = len(states)
                if count == 0:
                    break  # nothing is needed any more but the last layer's keys and values
                parts.append(self._gather(hidden, states, rows_at, attended))
                rows_at = attended.data_ptr()
            self._gate_jobs.records["rows"][index] = count
            parts += (
                output.kernel_steps(count, rows_at, results),
                [(norm, norm_jobs.address(2 * index + 1))],
                gate_up.kernel_steps(count, normed_at, gate_ups),
                [(self._gate_kernel, self._gate_jobs.address(index))],
                down.kernel_steps(count, gateds, results),
                [(norm, norm_jobs.address(2 * index + 2))],
            )
        if count > 0 and self._head is not None:
            last = self._head.kernel_steps(count, normed_at, self._logits.rows(count).data_ptr())
            self._has_head = last is not None
            if last is not None:
                parts.append([(norm, norm_jobs.address(len(norm_jobs) - 1)), *last])
        if any(part is None for part in parts):
            return None
        return [step for part in parts if part is not None for step in part]

    def _gather(self, hidden: torch.Tensor, states: torch.Tensor, rows_at: int, attended: torch.Tensor) -> list[Step]:
        """The wanted rows of the residual stream and of what the attention gives."""
        jobs = self._gather_jobs
        jobs.set_all(next=0, rows=len(states))
        for record, source, target in zip(jobs.records, (hidden.data_ptr(), rows_at), (states, attended), strict=True):
            record["source"], record["target"] = source, target.data_ptr()
            record["row_bytes"] = target.shape[1] * target.itemsize
        return [(self._gather_kernel, jobs.address(index)) for index in range(len(jobs))]
