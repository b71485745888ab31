"""One GPU's pool in its keeper: laid out by the cards, filled once from the host's weights, exported once."""

from collections.abc import Sequence

from ipc.config import KeeperConfig
from ipc.device_memory.interface import MemoryHandle
from ipc.device_memory.pool_layout import pool_layout
from ipc.model_card import ModelCard
from workers.device_tensors import fill_weights
from workers.open_device import take_pool
from workers.pool_segments import attach_weights


class KeptPool:
    """Owned by the keeper's one thread."""

    def __init__(self, cards: Sequence[ModelCard], fds: Sequence[int], config: KeeperConfig) -> None:
        """Takes the memory and copies the weights there. `fds`: the host's weights segments, in card order, taken over.

        Raises StartupError, SegmentError when memory does not suffice.
        """
        layout = pool_layout(cards)
        self.size = layout.size
        segments = attach_weights([card for card in cards if card.device != "cpu"], fds)
        try:
            self._pool = take_pool(config.device, config.device_index, layout.size)
            for index, segment in segments.items():
                fill_weights(self._pool.buffer, layout.weights[index], segment.view)
        finally:
            for segment in segments.values():
                segment.close()

    def export(self, generation: int) -> MemoryHandle:
        """What workers open the pool with; once. Everything that was copied is there. Raises RuleBroken."""
        return self._pool.export(generation)

    def free(self) -> None:
        """Nobody uses the pool any more. Raises RuleBroken."""
        self._pool.free()
