"""How a model's KV segment is divided into layers and pages.

For each attention layer first all key pages, then all value pages:

    | layer 0 keys                                   | layer 0 values ... | layer 1 keys ...
      [num_pages, num_kv_heads, block_size, key_dim]

A page holds `block_size` tokens; a block table is a list of page numbers, the same in every layer.
"""

from collections.abc import Sequence

from msgspec import Struct

from ipc.model_card import KvLayer, ModelCard

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int64": 8}
ALIGNMENT = 64  # bytes; every layer's region starts on a cache line


class KvRegion(Struct, frozen=True):
    """Where one layer's keys and values lie in the segment: byte offsets and shapes."""

    key_offset: int
    key_shape: tuple[int, int, int, int]  # pages, KV heads, block size, key dim
    value_offset: int
    value_shape: tuple[int, int, int, int]


def _align(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def page_bytes(layers: Sequence[KvLayer], block_size: int, dtype: str) -> int:
    """Bytes one page takes over all layers (without alignment, which is paid once a layer)."""
    return (
        sum(layer.num_kv_heads * (layer.key_dim + layer.value_dim) for layer in layers) * block_size * ITEM_BYTES[dtype]
    )


def kv_regions(card: ModelCard) -> tuple[list[KvRegion], int]:
    """The regions of all layers, and the segment's size in bytes."""
    regions: list[KvRegion] = []
    offset = 0
    item = ITEM_BYTES[card.dtype]
    for layer in card.kv_layers:
        key_shape = (card.num_pages, layer.num_kv_heads, card.block_size, layer.key_dim)
        value_shape = (card.num_pages, layer.num_kv_heads, card.block_size, layer.value_dim)
        key_offset = offset
        value_offset = _align(key_offset + _volume(key_shape) * item)
        offset = _align(value_offset + _volume(value_shape) * item)
        regions.append(KvRegion(key_offset, key_shape, value_offset, value_shape))
    return regions, offset


def _volume(shape: tuple[int, int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2] * shape[3]
