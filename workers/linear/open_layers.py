"""What multiplies with the linear layers of a weights segment, and how a model's modules come to use it."""

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from workers.linear.interface import LinearLayer, LinearShape
from workers.linear.kinds import KINDS
from workers.pool import torch_dtype, view_tensor
from workers.weights_manifest import LinearEntry, read_manifest

OpenLayers = Mapping[tuple[str, ...], LinearLayer]  # by the dotted names of the modules each stands for


class OpenedLinear(nn.Module):
    """Stands where a linear module was. Its weight is the layer's own business, so it has none."""

    def __init__(self, layer: LinearLayer) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.layer = layer

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """See `LinearLayer`."""
        return self.layer(rows)


def open_layers(view: memoryview) -> dict[tuple[str, ...], LinearLayer]:
    """Every layer of a weights segment that is not plain, on its memory: valid as long as that is mapped.

    Computes nothing, starts no thread. Modules that share a weight share the layer.
    """
    manifest, data_start = read_manifest(view)
    shared: dict[tuple[str, int, int], LinearLayer] = {}
    layers: dict[tuple[str, ...], LinearLayer] = {}
    for entry in manifest.layers:
        key = (entry.kind, entry.offset, entry.bias_offset)
        if key not in shared:
            shared[key] = _open(view, entry, data_start)
        layers[entry.names] = shared[key]
    return layers


def hang_layers(model: nn.Module, layers: OpenLayers) -> set[str]:
    """Let modules that have a layer of their own use it.

    Returns the dotted names of all modules the layers stand for. Those that have one together are left alone: their
    tensors stay where the model was built, and whoever runs them by the group's layer does not look there.
    """
    for names, layer in layers.items():
        if len(names) == 1:
            replace_module(model, names[0], OpenedLinear(layer))
    return {name for names in layers for name in names}


def replace_module(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` where the model has one of the dotted `name`."""
    path, _, own = name.rpartition(".")
    model.get_submodule(path)._modules[own] = module


def tensor_names(modules: set[str]) -> Iterator[str]:
    """The dotted names of the weights and biases of linear modules."""
    for name in modules:
        yield f"{name}.weight"
        yield f"{name}.bias"


def _open(view: memoryview, entry: LinearEntry, data_start: int) -> LinearLayer:
    shape = LinearShape(entry.in_features, entry.out_features, torch_dtype(entry.dtype))
    bias = None
    if entry.has_bias:
        bias = view_tensor(view, entry.dtype, (entry.out_features,), data_start + entry.bias_offset)
    first = data_start + entry.offset
    return KINDS[entry.kind].open(view[first : first + entry.num_bytes], entry.metadata, shape, bias)
