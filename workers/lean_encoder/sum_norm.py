"""Sums of float32 states with what a layer adds, and their layer norm."""

from typing import Any

import torch

from workers.lean.jobs import Jobs
from workers.lean.openmp import run_kernel
from workers.lean_encoder.jobs import SUM_NORM
from workers.lean_encoder.norm_kernel import sum_norm_bfloat16, sum_norm_float32


class SumNorm:
    """One layer norm of a model that computes in `dtype`. Used by one thread."""

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        """`module`: torch's, whose weights are where they are to stay. Computes nothing; reads the kernel from disk, or
        compiles it: once, before workers are forked."""
        self._module = module
        self._float32: tuple[torch.Tensor, torch.Tensor] | None = None  # weight and bias, made by the first call
        self._rounds = dtype is torch.bfloat16
        self._kernel = (sum_norm_bfloat16 if self._rounds else sum_norm_float32)()
        self._jobs = Jobs(SUM_NORM, 1)

    def __call__(self, states: torch.Tensor, delta: torch.Tensor | None) -> torch.Tensor:
        """float32 [rows, width] `states` become the norm of their sum with `delta`; returns them in the computing
        type."""
        if self._float32 is None:
            self._prepare()
        rounded = torch.empty_like(states, dtype=torch.bfloat16) if self._rounds else states
        self._jobs.set_all(
            next=0,
            rows=len(states),
            states=states.data_ptr(),
            delta=0 if delta is None else delta.data_ptr(),
            rounded=rounded.data_ptr() if self._rounds else 0,
        )
        run_kernel(self._kernel, self._jobs.address(0), torch.get_num_threads())
        return rounded

    def _prepare(self) -> None:
        weight, bias = self._module.weight.float(), self._module.bias.float()
        self._float32 = weight, bias
        self._jobs.set_all(
            width=len(weight), weight=weight.data_ptr(), bias=bias.data_ptr(), eps=float(self._module.eps)
        )
