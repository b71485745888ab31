"""A transformers model whose linear layers are kept in one of our ways, as a loader would keep them."""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from workers.linear.choose import WANTED
from workers.linear.kinds import KINDS
from workers.linear.open_layers import OpenedLinear, replace_module
from workers.linear.plan import bias_of, linear_plan, planned_bytes, weight_of

_ALIGNMENT = 64


@torch.inference_mode()
def keep_linears(model: Any, quantization: str) -> tuple[Any, int]:
    """A copy of `model` with its linear layers kept as by --quantization, and how many are; "none": plain."""
    kept = copy.deepcopy(model)
    plan = [] if quantization == "none" else linear_plan(kept, (WANTED[quantization][0],), [])
    for layer in plan:
        modules = [module for name in layer.names if isinstance(module := kept.get_submodule(name), nn.Linear)]
        size = planned_bytes(layer)
        room = np.zeros(size + _ALIGNMENT, np.uint8)
        target = memoryview(room[-room.ctypes.data % _ALIGNMENT :][:size])  # type: ignore[arg-type]
        metadata = KINDS[layer.kind].pack(weight_of(modules), target)
        opened = OpenedLinear(KINDS[layer.kind].open(target, metadata, layer.shape, bias_of(modules)))
        opened.register_buffer("memory", torch.from_numpy(room), persistent=False)  # as long as the module
        replace_module(kept, layer.names[0], opened)
    return kept, len(plan)
