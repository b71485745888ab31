"""GPU pools in a worker: opened once each, their weights and KV pages given to the models, closed when they go.

A worker's first pool is that of its own GPU: its models compute there, on the weights that lie there. Others are opened
for pages that move. Models of a fake kind keep their pages in the host's memory and are not known here.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from ipc.device_memory.interface import MemoryHandle
from ipc.device_memory.leases import Lease, LeasedPools
from ipc.device_memory.pool_layout import pool_layout
from ipc.model_card import ModelCard
from workers.device_tensors import kv_pages_in, weights_in
from workers.open_device import opener_of
from workers.paged_attention.interface import LayerPages
from workers.weights_manifest import TensorEntry


@runtime_checkable
class DeviceModel(Protocol):
    """A model that was built without weights, because they are not in this process' memory."""

    def use_weights(self, tensors: list[tuple[TensorEntry, torch.Tensor]]) -> None:
        """Compute with these from now on, where they lie; once."""
        ...

    def use_pages(self, pool: int, layers: list[LayerPages]) -> None:
        """Steps may name this pool from now on, until `drop_pool`."""
        ...

    def drop_pool(self, pool: int) -> None:
        """See `ServedModel.drop_pool`."""
        ...


class _OpenPool(NamedTuple):
    memory: MemoryHandle
    lease: Lease
    leased: LeasedPools[torch.Tensor]


class DevicePools:
    """Keeps each pool open from `open` to `close`."""

    def __init__(self, cards: Sequence[ModelCard], models: Mapping[int, object]) -> None:
        """`models`: by card index; those that compute on the host are left alone."""
        self._cards = [card for card in cards if card.device != "cpu"]
        self._models = {index: model for index, model in models.items() if isinstance(model, DeviceModel)}
        self._layout = pool_layout(cards)
        self._pools: dict[int, _OpenPool] = {}

    def open(self, pool: int, memory: MemoryHandle, lease: Lease) -> None:
        """Open a pool and let the models use it. Raises StaleLease, RuleBroken, ProtocolError."""
        leased = LeasedPools(opener_of(memory))
        buffer = leased.use(memory, lease)
        is_first = not self._pools
        self._pools[pool] = _OpenPool(memory, lease, leased)
        for card in self._cards:
            model = self._models[card.index]
            if is_first:
                model.use_weights(weights_in(buffer, self._layout.weights[card.index]))
            if card.kv_layers:
                model.use_pages(pool, kv_pages_in(buffer, self._layout, card))

    def close(self, pool: int) -> None:
        """Close a pool no step names any more; not the first one, which holds the weights. Twice is fine."""
        if pool not in self._pools:
            return
        for model in self._models.values():
            model.drop_pool(pool)
        memory, lease, leased = self._pools.pop(pool)
        leased.done(memory, lease)
