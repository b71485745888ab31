"""Fills a weights segment: what the model needs is planned from its configuration, then copied from the checkpoint.

Only the loader uses this. transformers reads the checkpoint (it knows renamed and merged weights); tensor by tensor
what it read is copied or packed into the segment and given up, so that two whole copies exist only for a moment.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from msgspec.structs import replace
from torch import nn

from workers.linear.kinds import KINDS
from workers.linear.open_layers import tensor_names
from workers.linear.plan import PlannedLayer, bias_of, names_kept_in_float32, planned_bytes, weight_of
from workers.model import named_tensors
from workers.weights_manifest import (
    LinearEntry,
    Manifest,
    Place,
    TensorEntry,
    align,
    bias_bytes,
    find_data_start,
    segment_bytes,
    write_manifest,
)

ProgressFunction = Callable[[int, int], None]  # bytes done, bytes in all
_Tensor = tuple[str, Place, torch.Tensor]


def plan_bytes(model: nn.Module, plan: Sequence[PlannedLayer] = ()) -> int:
    """Bytes of the weights segment for a model that is still on the meta device, its linear layers kept by `plan`."""
    wide = names_kept_in_float32(model)
    tensors = [
        (name, place, tensor.to(torch.float32) if place == "parameter" and _is_kept(name, wide) else tensor)
        for name, place, tensor in _plain_tensors(model, plan)
    ]
    return segment_bytes(_manifest(model, tensors, plan))


def num_parameters(model: nn.Module) -> int:
    """Parameters, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def write_weights(
    model: nn.Module, view: memoryview, on_progress: ProgressFunction, plan: Sequence[PlannedLayer] = ()
) -> None:
    """Copy or pack every tensor of the loaded `model` into the segment. Raises StartupError if it does not fit.

    The model's own memory is given up on the way: it cannot be used afterwards.
    """
    tensors = _plain_tensors(model, plan)
    manifest = _manifest(model, tensors, plan)
    writer = _Writer(model, view, find_data_start(view, manifest), tensors, plan)
    total = sum(entry.num_bytes for entry in manifest.tensors) + sum(layer.num_bytes for layer in manifest.layers)
    done = 0
    for entry, (_, _, tensor) in zip(manifest.tensors, tensors, strict=True):
        writer.copy(entry, tensor)
        done += entry.num_bytes
        on_progress(done, total)
    layers: list[LinearEntry] = []
    for layer, planned in zip(manifest.layers, plan, strict=True):
        layers.append(writer.pack(layer, planned))
        done += layer.num_bytes
        on_progress(done, total)
    write_manifest(view, replace(manifest, layers=tuple(layers)), writer.data_start)


class _Writer:
    """Writes each place of a segment once, and gives parameters up at their last use."""

    def __init__(
        self,
        model: nn.Module,
        view: memoryview,
        data_start: int,
        tensors: Sequence[_Tensor],
        plan: Sequence[PlannedLayer],
    ) -> None:
        self.data_start = data_start
        self._model, self._view = model, view
        self._metadata: dict[int, bytes] = {}  # of what has been written, by offset
        packed = [parameter for layer in plan for parameter in _parameters(_modules(model, layer))]
        self._uses = Counter(id(tensor) for tensor in [*(tensor for _, _, tensor in tensors), *packed])

    def copy(self, entry: TensorEntry, tensor: torch.Tensor) -> None:
        """A tensor to its place, unless it is there."""
        if entry.num_bytes > 0 and entry.offset not in self._metadata:
            self._put(entry.offset, tensor)
            self._metadata[entry.offset] = b""
        self._give_up(tensor)

    def pack(self, entry: LinearEntry, planned: PlannedLayer) -> LinearEntry:
        """A layer to its place, unless it is there; the entry with its metadata."""
        modules = _modules(self._model, planned)
        if entry.offset not in self._metadata:
            first = self.data_start + entry.offset
            target = self._view[first : first + entry.num_bytes]
            self._metadata[entry.offset] = KINDS[entry.kind].pack(weight_of(modules).detach(), target)
            bias = bias_of(modules)
            if bias is not None:
                self._put(entry.bias_offset, bias)
        for parameter in _parameters(modules):
            self._give_up(parameter)
        return replace(entry, metadata=self._metadata[entry.offset])

    def _put(self, offset: int, tensor: torch.Tensor) -> None:
        raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        first = self.data_start + offset
        torch.frombuffer(self._view, dtype=torch.uint8, count=len(raw), offset=first).copy_(raw)

    def _give_up(self, tensor: torch.Tensor) -> None:
        self._uses[id(tensor)] -= 1
        if self._uses[id(tensor)] == 0 and isinstance(tensor, nn.Parameter):
            tensor.data = tensor.data.new_empty(0)


def _plain_tensors(model: nn.Module, plan: Sequence[PlannedLayer]) -> list[_Tensor]:
    """The model's tensors without those that layers of the plan keep."""
    packed = set(tensor_names({name for layer in plan for name in layer.names}))
    return [named for named in named_tensors(model) if named[0] not in packed]


def _manifest(model: nn.Module, tensors: Sequence[_Tensor], plan: Sequence[PlannedLayer]) -> Manifest:
    """Where everything goes."""
    entries, end = _tensor_entries(tensors)
    return Manifest(entries, _linear_entries(model, plan, end))


def _tensor_entries(tensors: Sequence[_Tensor]) -> tuple[tuple[TensorEntry, ...], int]:
    """Where each tensor goes, and where the last one ends; those that are one (tied weights) share their place."""
    entries: list[TensorEntry] = []
    placed: dict[tuple[int, torch.Size, tuple[int, ...]], int] = {}
    end = 0
    for name, place, tensor in tensors:
        num_bytes = tensor.numel() * tensor.element_size()
        address = id(tensor) if tensor.device.type == "meta" else tensor.data_ptr()
        key = (address, tensor.shape, tensor.stride())
        if key not in placed or num_bytes == 0:
            placed[key] = end
            end = align(end + num_bytes)
        dtype = str(tensor.dtype).removeprefix("torch.")
        entries.append(TensorEntry(name, place, dtype, tuple(tensor.shape), placed[key], num_bytes))
    return tuple(entries), end


def _linear_entries(model: nn.Module, plan: Sequence[PlannedLayer], end: int) -> tuple[LinearEntry, ...]:
    """Where each layer goes, from `end` on; those of the same weights and biases share their place."""
    entries: list[LinearEntry] = []
    placed: dict[tuple[int, ...], LinearEntry] = {}
    for planned in plan:
        key = tuple(id(parameter) for parameter in _parameters(_modules(model, planned)))
        if key not in placed:
            entry = _linear_entry(planned, end)
            placed[key] = entry
            end = align(entry.bias_offset + (bias_bytes(entry) if entry.has_bias else 0))
        entries.append(replace(placed[key], names=planned.names))
    return tuple(entries)


def _linear_entry(planned: PlannedLayer, offset: int) -> LinearEntry:
    shape, num_bytes = planned.shape, planned_bytes(planned)
    return LinearEntry(
        names=planned.names,
        kind=planned.kind,
        dtype=str(shape.dtype).removeprefix("torch."),
        in_features=shape.in_features,
        out_features=shape.out_features,
        offset=offset,
        num_bytes=num_bytes,
        has_bias=planned.has_bias,
        bias_offset=align(offset + num_bytes),
    )


def _modules(model: nn.Module, planned: PlannedLayer) -> list[nn.Linear]:
    found = [model.get_submodule(name) for name in planned.names]
    return [module for module in found if isinstance(module, nn.Linear)]


def _parameters(modules: Sequence[nn.Linear]) -> list[torch.Tensor]:
    return [parameter for module in modules for parameter in (module.weight, module.bias) if parameter is not None]


def _is_kept(name: str, parts: list[str]) -> bool:
    return any(part in name for part in parts)
