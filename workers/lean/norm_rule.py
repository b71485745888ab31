"""Which formula a model's norm modules compute, found by trying them: families differ in two details.

Llama:  weight * (x / rms(x) rounded to the type)        Gemma:  (x / rms(x) * (1 + weight)) rounded
"""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class NormRule:
    """A root-mean-square norm: x / sqrt(mean(x * x) + eps), times weight + offset."""

    eps: float
    offset: float  # 0 or 1
    rounds_first: bool  # the normalised row is rounded to its type before the weight is multiplied

    def weight(self, module: Any) -> torch.Tensor:
        """float32 [width]: what rows are multiplied with."""
        weight: torch.Tensor = module.weight.detach().float() + self.offset
        return weight.contiguous()

    def __call__(self, module: Any, rows: torch.Tensor) -> torch.Tensor:
        """What the module gives, computed by the rule."""
        wide = rows.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        if self.rounds_first:
            normed = normed.to(rows.dtype).float()
        return (normed * self.weight(module)).to(rows.dtype)


def find_norm_rule(module: Any) -> NormRule | None:
    """The rule that gives exactly (float32: nearly) what the module gives; None if none does. Computes."""
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not isinstance(eps, float) or not torch.is_tensor(getattr(module, "weight", None)):
        return None
    rows = torch.linspace(-2.0, 3.0, 8 * len(module.weight)).sin().view(8, -1).to(module.weight.dtype)
    expected = module(rows)
    rules = (NormRule(eps, offset, first) for offset in (0.0, 1.0) for first in (True, False))
    off = {rule: float((rule(module, rows).float() - expected.float()).abs().max()) for rule in rules}
    best = min(off, key=lambda rule: off[rule])
    return best if off[best] <= 1e-5 * float(expected.abs().max()) else None
