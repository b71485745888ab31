"""What lies where in a device's pool: every model's weights, then every model's KV pages. Follows from the cards alone.

    | weights segment of card 0 | weights of card 1 | ... | KV pages of card 0 | ...      each area starts on ALIGNMENT

An area holds what the host's segment of the same name would: `kv_layout.py` divides the one, a manifest the other.
"""

from collections.abc import Sequence

from msgspec import Struct

from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard

ALIGNMENT = 512  # bytes; what CUDA's own allocator gives


class Area(Struct, frozen=True):
    """Some bytes of the pool."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size


class PoolLayout(Struct, frozen=True):
    """All areas, by card index. Fake models keep theirs in the host's memory."""

    weights: dict[int, Area]
    kv: dict[int, Area]
    size: int  # of the whole pool, in bytes


def pool_layout(cards: Sequence[ModelCard]) -> PoolLayout:
    """The layout for complete cards: those with `weights_bytes`, `kv_layers` and `num_pages`."""
    real = [card for card in cards if card.device != "cpu"]
    weights, end = _areas([(card.index, card.weights_bytes) for card in real], 0)
    kv, end = _areas([(card.index, kv_regions(card)[1]) for card in real if card.kv_layers], end)
    return PoolLayout(weights, kv, end)


def _areas(sizes: Sequence[tuple[int, int]], start: int) -> tuple[dict[int, Area], int]:
    """One area after the other from `start` on, and where the next one would begin."""
    areas: dict[int, Area] = {}
    for index, size in sizes:
        areas[index] = Area(start, size)
        start = -(-(start + size) // ALIGNMENT) * ALIGNMENT
    return areas, start
