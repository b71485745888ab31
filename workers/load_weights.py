"""Fills a weights segment: what the model needs is planned from its configuration, then copied from the checkpoint.

Only the loader uses this. transformers reads the checkpoint (it knows renamed and merged weights); tensor by tensor
what it read is copied into the segment and given up, so that two whole copies exist only for a moment.
"""

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from workers.model import named_tensors
from workers.weights_manifest import Place, TensorEntry, align, segment_bytes, write_manifest

ProgressFunction = Callable[[int, int], None]  # bytes done, bytes in all
_Key = tuple[int, torch.Size, tuple[int, ...]]


def plan_bytes(model: PreTrainedModel) -> int:
    """Bytes of the weights segment for a model that is still on the meta device."""
    wide = _names_kept_in_float32(model)
    tensors = [
        (name, place, tensor.to(torch.float32) if place == "parameter" and _is_kept(name, wide) else tensor)
        for name, place, tensor in named_tensors(model)
    ]
    return segment_bytes(_entries(tensors))


def num_parameters(model: PreTrainedModel) -> int:
    """Parameters, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def write_weights(model: PreTrainedModel, view: memoryview, on_progress: ProgressFunction) -> None:
    """Copy every tensor of the loaded `model` into the segment. Raises StartupError if it does not fit.

    The model's own memory is given up on the way: it cannot be used afterwards.
    """
    tensors = named_tensors(model)
    entries = _entries(tensors)
    data_start = write_manifest(view, entries)
    total = sum(entry.num_bytes for entry in entries)
    done = 0
    written: set[int] = set()
    for entry, (_, _, tensor) in zip(entries, tensors, strict=True):
        if entry.num_bytes > 0 and entry.offset not in written:
            raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
            target = torch.frombuffer(view, dtype=torch.uint8, count=entry.num_bytes, offset=data_start + entry.offset)
            target.copy_(raw)
            written.add(entry.offset)
        done += entry.num_bytes
        on_progress(done, total)


def _entries(tensors: list[tuple[str, Place, torch.Tensor]]) -> list[TensorEntry]:
    """Where each tensor goes; tensors that are one (tied weights) share their place."""
    entries: list[TensorEntry] = []
    placed: dict[_Key, int] = {}
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
    return entries


def _names_kept_in_float32(model: PreTrainedModel) -> list[str]:
    """Parts of parameter names that transformers keeps in float32 whatever the computing type."""
    names: list[str] = []
    for attribute in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict"):
        names += list(getattr(model, attribute, None) or [])
    return names


def _is_kept(name: str, parts: list[str]) -> bool:
    return any(part in name for part in parts)
