"""The memory segments of a running server: held by the supervisor, so they outlive every worker and the scheduler."""

from collections.abc import Sequence

from ipc.config import ServeConfig
from ipc.errors import StartupError
from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from ipc.segments import Segment, SegmentError
from zerolane.memory_layout import arena_bytes, check_memory


class Memory:
    """Owns the step arena, each model's weights, and each pool's KV pages of each model."""

    def __init__(self, config: ServeConfig) -> None:
        """Takes the arena at once. Raises StartupError when memory does not suffice."""
        size = arena_bytes(config)
        check_memory(size, "Planned steps take", "Give less --max-num-seqs or --max-model-len.")
        self.arena = _make("step arena", size)
        self.weights: dict[int, Segment] = {}  # by card index
        self.kv: dict[int, dict[int, Segment]] = {}  # by pool and card index

    def make_weights(self, cards: Sequence[ModelCard]) -> list[int]:
        """Empty weight segments of the sizes the cards name; their descriptors, in card order."""
        wanted = sum(card.weights_bytes for card in cards)
        check_memory(
            wanted,
            "The models' weights take",
            "Serve fewer or smaller models, a smaller --dtype, or --compact-weights off.",
        )
        for card in cards:
            self.weights[card.index] = _make(f"weights of {card.name}", card.weights_bytes, writable_until_sealed=True)
        return [self.weights[card.index].fd for card in cards]

    def seal_weights(self) -> None:
        """Nobody can map the weights for writing from now on."""
        for segment in self.weights.values():
            segment.seal_writes()

    def make_pool(self, pool: int, cards: Sequence[ModelCard]) -> None:
        """The pool's KV segment of each card that has attention layers. Raises StartupError; then nothing is kept."""
        sizes = {card.index: kv_regions(card)[1] for card in cards if card.kv_layers}
        check_memory(sum(sizes.values()), "KV pages take", "Give less --kv-cache-memory, or --compact-weights off.")
        segments = self.kv[pool] = {}
        try:
            for index, size in sizes.items():
                segments[index] = _make(f"KV pages of model {index} in pool {pool}", size)
        except StartupError:
            self.close_pool(pool)
            raise

    def close_pool(self, pool: int) -> None:
        """Let go of its KV pages; the kernel frees them when the last worker has unmapped them. Twice is fine."""
        for segment in self.kv.pop(pool, {}).values():
            segment.close()

    def weight_descriptors(self, cards: Sequence[ModelCard]) -> list[int]:
        """What rides on the fork server's ModelsReady: the weights of each card that has some."""
        return [self.weights[card.index].fd for card in cards if card.index in self.weights]

    def kv_descriptors(self, pool: int, cards: Sequence[ModelCard]) -> list[int]:
        """What rides on PoolReady: the KV pages of each card that has some."""
        return [self.kv[pool][card.index].fd for card in cards if card.index in self.kv[pool]]

    def close(self) -> None:
        """Let go of everything; the kernel frees it when the last process that maps it is gone. Twice is fine."""
        for pool in list(self.kv):
            self.close_pool(pool)
        for segment in (self.arena, *self.weights.values()):
            segment.close()


def _make(name: str, size: int, writable_until_sealed: bool = False) -> Segment:
    try:
        return Segment.create(name, size, writable_until_sealed)
    except SegmentError as error:
        message = f"Cannot take memory: {error}."
        raise StartupError(message, "Give less --kv-cache-memory, or end other programs.") from error
