"""The token rules of the streams that run, as blobs in the step arena, where the workers read them.

Equal rules lie there once: the choices of a request, and requests with the same schema. This process never looks into
them. A rules id is never given twice, also not by a scheduler's successor, so workers may keep what they made of one.
"""

from dataclasses import dataclass

from ipc.arena import GRANULE, Arena, Handle
from ipc.token_rules import ARENA_BYTES

RULES_HOLDER = -2  # no worker's number: these leases outlive workers
_EPOCH_SHIFT = 40


@dataclass(slots=True)
class LeasedRules:
    """One blob in the arena, as long as a running stream has it."""

    rules_id: int
    handle: Handle
    num_streams: int


class RulesStore:
    """One for all models of a scheduler."""

    def __init__(self, arena: Arena, epoch: int, max_bytes: int = ARENA_BYTES) -> None:
        """`epoch`: the scheduler's."""
        self._arena = arena
        self.epoch = epoch
        self._last_id = epoch << _EPOCH_SHIFT
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._leased: dict[bytes, LeasedRules] = {}

    @property
    def num_leases(self) -> int:
        return len(self._leased)

    def has_room(self, blob: bytes) -> bool:
        """As far as our own bound goes: `take` would find room."""
        return blob in self._leased or not self._leased or self._num_bytes + _block_bytes(blob) <= self._max_bytes

    def take(self, blob: bytes) -> LeasedRules | None:
        """The rules for one more running stream; None: no room now, other streams have to end first."""
        leased = self._leased.get(blob)
        if leased is None:
            if not self.has_room(blob):
                return None
            handle = self._arena.lease(len(blob), RULES_HOLDER)
            if handle is None:
                return None
            self._arena.view(handle)[:] = blob
            self._last_id += 1
            self._num_bytes += _block_bytes(blob)
            leased = self._leased[blob] = LeasedRules(self._last_id, handle, 0)
        leased.num_streams += 1
        return leased

    def known(self, blob: bytes) -> LeasedRules:
        """Rules that were taken and not given back. Raises KeyError for others."""
        return self._leased[blob]

    def give_back(self, blob: bytes) -> None:
        """The counterpart of a `take`: a stream left its slot, and nothing of it is in flight."""
        leased = self._leased[blob]
        leased.num_streams -= 1
        if not leased.num_streams:
            self._arena.release(leased.handle)
            self._num_bytes -= _block_bytes(blob)
            del self._leased[blob]


def _block_bytes(blob: bytes) -> int:
    """What a blob takes of the arena: a power of two of granules."""
    granules = -(-len(blob) // GRANULE)
    return GRANULE << (granules - 1).bit_length()
