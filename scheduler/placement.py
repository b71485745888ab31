"""Which worker takes which waiting stream: an equal share each, and where a prefix is known already.

Made anew for each round of planning. Workers may have phases of their own: then those that prefill admit, and streams
go to those that decode with their first token. Where only one kind is left it does both: slow is better than never.
"""

import functools
from collections.abc import Sequence

import numpy as np

from scheduler.ledger import Ledger
from scheduler.slot_pages import SlotPages
from scheduler.stream import SlotState, Stream
from scheduler.worker_peer import WorkerPeer

_RUNNING, _MOVING = int(SlotState.RUNNING), int(SlotState.MOVING)


class Placement:
    """Rules of one generate model for the workers that are live now."""

    def __init__(self, ledger: Ledger, live: Sequence[WorkerPeer], closed_pools: set[int]) -> None:
        """`closed_pools` take no new streams: they are on their way out."""
        self._pools: SlotPages = ledger.pages
        open_peers = [peer for peer in live if peer.pool not in closed_pools and peer.pool in ledger.pages.caches]
        prefilling = [peer for peer in open_peers if peer.phases != "decode"]
        decoding = [peer for peer in live if peer.phases != "prefill"]
        self._admitting = {peer.worker_id: peer for peer in prefilling or open_peers}
        self.handing_over = {peer.worker_id for peer in live if peer.phases == "prefill"} if decoding else set()
        self._ledger = ledger

    @functools.cached_property
    def _share(self) -> int:
        return fair_share(self._ledger, len(self._admitting))

    @functools.cached_property
    def _num_running(self) -> dict[int, int]:
        return {worker: len(self._ledger.running_on(worker)) for worker in self._admitting}

    def admits(self, peer: WorkerPeer) -> bool:
        """Whether this worker takes waiting streams at all."""
        return peer.worker_id in self._admitting

    def share_of(self, peer: WorkerPeer) -> int:
        """Streams the worker should be responsible for, at most. Whoever hands over after prefill has no limit."""
        return len(self._pools.num_blocks) if peer.worker_id in self.handing_over else self._share

    def belongs_elsewhere(self, ledger: Ledger, stream: Stream, peer: WorkerPeer) -> bool:
        """Another pool holds more of the stream's beginning, has a worker that is not full, and pages for the rest."""
        others = self._pools_with_room(peer)
        if not others:
            return False
        own = len(ledger.pages.match(peer.pool, stream.tokens, stream.cache_salt).pages)
        for pool in others:
            match = ledger.pages.match(pool, stream.tokens, stream.cache_salt)
            if len(match.pages) > own and ledger.pages.has_room(pool, match, len(stream.tokens)):
                return True
        return False

    def _pools_with_room(self, peer: WorkerPeer) -> set[int]:
        return {
            other.pool
            for other in self._admitting.values()
            if other.pool != peer.pool and self._num_running[other.worker_id] < self.share_of(other)
        }


def fair_share(ledger: Ledger, num_workers: int) -> int:
    """Streams one of `num_workers` workers should be responsible for, at most."""
    stays = (ledger.state == _RUNNING) | (ledger.state == _MOVING)
    total = int(np.count_nonzero(stays)) + ledger.waiting.num_waiting
    return -(-total // max(1, num_workers))


def least_loaded(ledger: Ledger, peers: Sequence[WorkerPeer]) -> WorkerPeer | None:
    """The worker with the fewest streams; None of none."""
    return min(peers, key=lambda peer: np.count_nonzero(ledger.worker == peer.worker_id), default=None)
