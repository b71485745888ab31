"""The segments that come with ModelsReady and PoolReady: which descriptor is what."""

from collections.abc import Sequence

from ipc.errors import ProtocolError
from ipc.model_card import ModelCard
from ipc.segments import Segment


def attach_weights(cards: Sequence[ModelCard], fds: Sequence[int]) -> dict[int, Segment]:
    """The weights of each card that is not fake, by card index, mapped read-only. Takes over the descriptors."""
    segments = _attach([card.index for card in cards if not card.is_fake], fds, writable=False)
    for segment in segments.values():
        segment.use_huge_pages()  # where the loader got them, this mapping takes them over at once
    return segments


def attach_kv(cards: Sequence[ModelCard], fds: Sequence[int]) -> dict[int, Segment]:
    """One pool's KV pages of each card with kv_layers, by card index. Takes over the descriptors."""
    return _attach([card.index for card in cards if card.kv_layers], fds, writable=True)


def _attach(indexes: Sequence[int], fds: Sequence[int], writable: bool) -> dict[int, Segment]:
    if len(indexes) != len(fds):
        raise ProtocolError(f"{len(indexes)} models need as many segments, {len(fds)} came")
    return {index: Segment.attach(fd, writable) for index, fd in zip(indexes, fds, strict=True)}
