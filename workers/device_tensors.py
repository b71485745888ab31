"""A device's pool as tensors: weights for reading, KV pages for reading and writing; all are views, nothing is copied.

The pool is one uint8 tensor, wherever it lies. What `pool.py` does for the host's segments is done here for devices.
"""

import torch

from ipc.device_memory.pool_layout import Area, PoolLayout
from ipc.errors import ProtocolError
from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from workers.paged_attention.interface import LayerPages
from workers.pool import torch_dtype, view_tensor
from workers.weights_manifest import TensorEntry, manifest_bytes, read_manifest


def fill_weights(pool: torch.Tensor, area: Area, segment: memoryview) -> None:
    """Copy a weights segment of the host into its area."""
    pool[area.offset : area.end].copy_(view_tensor(segment, "uint8", (area.size,), 0))


def weights_in(pool: torch.Tensor, area: Area) -> list[tuple[TensorEntry, torch.Tensor]]:
    """Every tensor of a model's weights. Entries that share memory come back as the same tensor object.

    Only the manifest is read back from the device. Raises ProtocolError when there is none.
    """
    length = manifest_bytes(_to_host(pool, area.offset, 16))
    head = _to_host(pool, area.offset, min(area.size, length))
    manifest, data_start = read_manifest(head)
    shared: dict[tuple[int, str, tuple[int, ...]], torch.Tensor] = {}
    tensors: list[tuple[TensorEntry, torch.Tensor]] = []
    for entry in manifest.tensors:
        key = (entry.offset, entry.dtype, entry.shape)
        if key not in shared:
            shared[key] = _tensor_at(pool, entry.dtype, entry.shape, area.offset + data_start + entry.offset)
        tensors.append((entry, shared[key]))
    return tensors


def kv_pages_in(pool: torch.Tensor, layout: PoolLayout, card: ModelCard) -> list[LayerPages]:
    """The KV pages of every attention layer of a generate model. Raises ProtocolError when their area is too small."""
    regions, size = kv_regions(card)
    area = layout.kv[card.index]
    if area.size < size or area.end > len(pool):
        raise ProtocolError(f"model {card.name} needs {size:,} bytes of KV pages, its area has {area.size:,}")
    return [
        LayerPages(
            _tensor_at(pool, card.dtype, region.key_shape, area.offset + region.key_offset),
            _tensor_at(pool, card.dtype, region.value_shape, area.offset + region.value_offset),
        )
        for region in regions
    ]


def _tensor_at(pool: torch.Tensor, dtype: str, shape: tuple[int, ...], offset: int) -> torch.Tensor:
    kind = torch_dtype(dtype)
    count = 1
    for extent in shape:
        count *= extent
    if count == 0:
        return torch.empty(shape, dtype=kind, device=pool.device)
    return pool[offset : offset + count * kind.itemsize].view(kind).view(shape)


def _to_host(pool: torch.Tensor, offset: int, count: int) -> memoryview:
    return memoryview(pool[offset : offset + count].cpu().numpy().tobytes())
