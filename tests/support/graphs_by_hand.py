"""CUDA graphs without CUDA: a replay calls the recorded function again, which sees only what lies in its buffers."""

from collections.abc import Callable

import torch

Compute = Callable[[], torch.Tensor]


class StepByHand:
    """See `CapturedStep`."""

    def __init__(self, compute: Compute, error: float) -> None:
        self.output = compute().clone()  # memory of its own: a real graph's output does not move either
        self._compute = compute
        self._error = error

    def replay(self) -> None:
        self.output.copy_(self._compute() + self._error)


class GraphsByHand:
    """See `GraphMaker`. `refuses`: nothing can be recorded; `error`: is added to what a replay gives."""

    def __init__(self, refuses: bool = False, error: float = 0.0) -> None:
        self.num_captured = self.num_run = 0
        self._refuses = refuses
        self._error = error

    def run(self, compute: Compute) -> torch.Tensor:
        self.num_run += 1
        return compute()

    def capture(self, compute: Compute) -> StepByHand:
        if self._refuses:
            raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might ...")
        self.num_captured += 1
        return StepByHand(compute, self._error)
