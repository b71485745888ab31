"""Maps the pool's memory as tensors: weights read-only, KV pages for reading and writing.

The segments belong to the supervisor; tensors made here are views without a copy, valid as long as the mapping.
"""

import warnings

import torch
from msgspec.structs import replace

from ipc.errors import ProtocolError
from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from workers.paged_attention.interface import LayerPages
from workers.weights_manifest import TensorEntry, read_manifest


def torch_dtype(name: str) -> torch.dtype:
    """The torch type called `name`. Raises ProtocolError for a name that is none."""
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise ProtocolError(f"{name!r} is no tensor type")
    return dtype


def map_weights(view: memoryview) -> list[tuple[TensorEntry, torch.Tensor]]:
    """Every tensor of a weights segment. Entries that share memory come back as the same tensor object."""
    manifest, data_start = read_manifest(view)
    shared: dict[tuple[int, str, tuple[int, ...]], torch.Tensor] = {}
    mapped: list[tuple[TensorEntry, torch.Tensor]] = []
    for entry in manifest.tensors:
        key = (entry.offset, entry.dtype, entry.shape)
        if key not in shared:
            shared[key] = view_tensor(view, entry.dtype, entry.shape, data_start + entry.offset)
        mapped.append((entry, shared[key]))
    return mapped


def view_tensor(view: memoryview, dtype: str, shape: tuple[int, ...], offset: int) -> torch.Tensor:
    """A tensor on `view`'s memory.

    Writing to one on read-only memory ends the process: models only read their weights.
    """
    count = 1
    for dim in shape:
        count *= dim
    if count == 0:
        return torch.empty(shape, dtype=torch_dtype(dtype))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        return torch.frombuffer(view, dtype=torch_dtype(dtype), count=count, offset=offset).view(shape)


def map_kv_pages(view: memoryview, card: ModelCard) -> list[LayerPages]:
    """The KV pages of every attention layer of a generate model. Raises ProtocolError when the segment is too small."""
    regions, size = kv_regions(card)
    if len(view) < size:
        raise ProtocolError(f"model {card.name} needs a KV segment of {size:,} bytes")
    return [
        LayerPages(
            view_tensor(view, card.dtype, region.key_shape, region.key_offset),
            view_tensor(view, card.dtype, region.value_shape, region.value_offset),
        )
        for region in regions
    ]


def one_page(card: ModelCard, device: torch.device | None = None) -> list[LayerPages]:
    """A page of every attention layer in private memory of `device`: for a step that must not touch a pool."""
    single = replace(card, num_pages=1)
    pages = map_kv_pages(memoryview(bytearray(kv_regions(single)[1])), single)
    return [LayerPages(layer.keys.to(device), layer.values.to(device)) for layer in pages]
