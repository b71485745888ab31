"""The pool's segments as ModelsReady hands them over: which descriptor is what."""

from collections.abc import Sequence

from ipc.errors import ProtocolError
from ipc.model_card import ModelCard
from ipc.segments import Segment


class PoolSegments:
    """All weights (mapped read-only) and KV segments (mapped for writing) of the served models. Keeps them mapped."""

    def __init__(self, cards: Sequence[ModelCard], fds: Sequence[int]) -> None:
        """`fds`.

        For each card that is not fake its weights, then for each card with kv_layers its KV. Takes them
        over.
        """
        with_weights = [card.index for card in cards if not card.is_fake]
        with_kv = [card.index for card in cards if card.kv_layers]
        if len(fds) != len(with_weights) + len(with_kv):
            raise ProtocolError(
                f"{len(cards)} models need {len(with_weights) + len(with_kv)} segments, {len(fds)} came"
            )
        split = len(with_weights)
        self._weights = {
            index: Segment.attach(fd, writable=False) for index, fd in zip(with_weights, fds[:split], strict=True)
        }
        self._kv = {index: Segment.attach(fd) for index, fd in zip(with_kv, fds[split:], strict=True)}

    def weights(self, card: ModelCard) -> memoryview | None:
        """The card's weights; None for a fake model."""
        segment = self._weights.get(card.index)
        return None if segment is None else segment.view

    def kv(self, card: ModelCard) -> memoryview | None:
        """The card's KV pages; None for a model without."""
        segment = self._kv.get(card.index)
        return None if segment is None else segment.view
