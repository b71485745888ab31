"""The pools a worker has mapped, and the models that use them."""

from __future__ import annotations  # DevicePools is named before torch is wanted

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ipc.control_messages import PoolReady
from ipc.model_card import ModelCard
from ipc.segments import Segment
from ipc.step_layout import StepHeader, StepKind
from workers.pool_segments import attach_kv
from workers.served_model import ServedModel

if TYPE_CHECKING:
    from workers.device_pools import DevicePools

# Bytes faulted in at once: a step that comes meanwhile waits for no more than 2 ms.
PART_BYTES = 2 << 20


class MappedPools:
    """Keeps each pool's KV segments mapped from `open` to `close`."""

    def __init__(self, cards: Sequence[ModelCard], models: Mapping[int, ServedModel]) -> None:
        self._cards = cards
        self._models = models
        self._pools: dict[int, dict[int, Segment]] = {}  # by pool and card index
        self._not_faulted_in: dict[int, Iterator[bool]] = {}  # by pool
        self._on_gpus: DevicePools | None = None

    def open(self, ready: PoolReady, fds: Sequence[int]) -> None:
        """Map a pool and let the models use it. Takes over the descriptors."""
        pool = ready.pool
        self._pools[pool] = attach_kv([card for card in self._cards if card.device == "cpu"], fds)
        for index, segment in self._pools[pool].items():
            self._models[index].use_pool(pool, segment.view)
        self._not_faulted_in[pool] = _fault_in(self._pools[pool].values())
        if ready.memory is not None and ready.lease is not None:
            if self._on_gpus is None:
                from workers.device_pools import DevicePools  # imports torch

                self._on_gpus = DevicePools(self._cards, self._models)
            self._on_gpus.open(pool, ready.memory, ready.lease)

    def fault_in_next(self) -> bool:
        """Use an idle moment to make later steps faster; False: nothing is left to do."""
        for pool, parts in list(self._not_faulted_in.items()):
            if next(parts, False):
                return True
            del self._not_faulted_in[pool]
        return False

    def close(self, pool: int) -> None:
        """Unmap a pool no step names any more. Twice is fine."""
        self._not_faulted_in.pop(pool, None)
        for index, segment in self._pools.pop(pool, {}).items():
            self._models[index].drop_pool(pool)
            segment.close()
        if self._on_gpus is not None:
            self._on_gpus.close(pool)

    def know(self, header: StepHeader) -> bool:
        """All pools the step names are mapped."""
        named = {
            StepKind.GENERATE: (header.pool,),
            StepKind.COPY: (header.pool, header.source_pool),
            StepKind.SCORE: (),
        }[header.shape.kind]
        return all(pool in self._pools for pool in named)


def _fault_in(segments: Iterable[Segment]) -> Iterator[bool]:
    """One part after the other; whether that worked."""
    for segment in segments:
        for start in range(0, segment.size, PART_BYTES):
            yield segment.fault_in(start, PART_BYTES)
