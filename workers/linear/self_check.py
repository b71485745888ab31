"""Whether layers kept in another way than plain multiply as they should, in this process, on this machine.

Their layouts are the libraries' own, and an instruction this processor lacks shows first of all here.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from workers.linear.kinds import KINDS
from workers.linear.plan import PlannedLayer, bias_of, planned_bytes, weight_of
from workers.weights_manifest import ALIGNMENT

NUM_ROWS = (1, 5, 8, 12, 40)  # compact copies up to 8, our kernel on packed weights up to 36, then oneDNN
# Largest allowed length of the difference to the plain product, in lengths of that. Weights in few bits differ more.
TOLERANCE = {"packed": 0.01, "compact": 0.01, "int8": 0.05, "int4": 0.3}


@torch.inference_mode()
def wrong_layers(model: nn.Module, plan: Sequence[PlannedLayer]) -> str:
    """What is wrong with the first layer of each kind and type of the plan; empty: nothing."""
    first = {(layer.kind, layer.shape.dtype): layer for layer in reversed(plan)}
    return next((wrong for layer in first.values() if (wrong := _wrong(model, layer))), "")


def _wrong(model: nn.Module, layer: PlannedLayer) -> str:
    modules = [module for name in layer.names if isinstance(module := model.get_submodule(name), nn.Linear)]
    weight, bias = weight_of(modules), bias_of(modules)
    size = planned_bytes(layer)
    room = torch.zeros(size + ALIGNMENT, dtype=torch.uint8)
    target = memoryview(room[-room.data_ptr() % ALIGNMENT :][:size].numpy())  # type: ignore[arg-type]
    kind = KINDS[layer.kind]
    try:
        opened = kind.open(target.toreadonly(), kind.pack(weight, target), layer.shape, bias)
        rows = torch.randn(max(NUM_ROWS), layer.shape.in_features, generator=torch.Generator().manual_seed(0))
        rows = rows.to(layer.shape.dtype)
        for count in NUM_ROWS:
            expected, found = F.linear(rows[:count], weight, bias).float(), opened(rows[:count]).float()
            difference = float((found - expected).norm() / expected.norm().clamp(min=1e-30))
            if not difference <= TOLERANCE[layer.kind]:
                return f"{layer.names[0]} {layer.kind} differs from plain by {difference:.2g} of its length"
    except RuntimeError as error:  # torch's way to say that it cannot
        reason = str(error).partition("\n")[0]
        return f"{layer.names[0]} cannot be {layer.kind}: {reason}"
    return ""
