"""A product with weights and what comes right after it."""

import torch
import torch.nn.functional as F

from workers.linear.interface import LinearLayer
from workers.linear.packed import PackedLinear

GELU = {"gelu": "none", "gelu_python": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}  # torch's names


def gelu_of(layer: LinearLayer, rows: torch.Tensor, approximate: str) -> torch.Tensor:
    """`F.gelu` of the layer's product; with packed weights in one go, before the product is rounded."""
    if isinstance(layer, PackedLinear):
        return layer.gelu(rows, approximate)
    return F.gelu(layer(rows), approximate=approximate)
