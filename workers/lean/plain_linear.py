"""Products by a model's own linear modules, where the layers of a group are not kept together in some other way."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from workers.linear.interface import LinearGroup, LinearLayer


class PlainLinear:
    """A `LinearLayer` on one or more modules that read the same rows; their outputs lie side by side."""

    def __init__(self, modules: list[Any]) -> None:
        self._modules = modules
        self.in_features: int = modules[0].in_features
        self.out_features = sum(int(module.out_features) for module in modules)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `LinearLayer`."""
        outputs: list[torch.Tensor] = [module(rows) for module in self._modules]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)


def layer_of(model: nn.Module, group: LinearGroup, layers: Mapping[tuple[str, ...], LinearLayer]) -> LinearLayer:
    """What multiplies with a group's weights: the pool's layer if it has one, else its modules."""
    found = layers.get(tuple(group))
    if found is not None:
        return found
    modules = [model.get_submodule(name) for name in group]
    return PlainLinear(modules)
