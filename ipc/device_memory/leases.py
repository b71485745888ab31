"""Who uses which part of a pool: granted by whoever looks after the pool's owner, kept by the users with the handle.

    grant -> (the user opens the pool, once) -> release, or sweep when the user is known to be dead
    end: only without leases, because the owner must outlive its users; then nothing is granted any more

The same code for every device. It knows no memory, only bytes counted from the pool's start; and a part may have any
number of users, as weights and KV pages do.
"""

from typing import Generic, TypeVar

from msgspec import Struct

from ipc.device_memory.interface import MemoryHandle, PoolOpener
from ipc.errors import ZerolaneError

T = TypeVar("T")


class StaleLease(ZerolaneError):
    """The lease has ended, or the pool's generation has."""


class PoolInUse(ZerolaneError):
    """The pool cannot end yet: somebody has a lease on it."""


class Lease(Struct, frozen=True, array_like=True):
    """The right to use some bytes of a pool, as it travels to its user."""

    number: int  # no two leases have the same, whatever the pool's generation
    generation: int  # the pool's
    offset: int  # bytes from the pool's start
    size: int


class Leases:
    """The leases of one pool through all its generations. Kept by one process."""

    def __init__(self) -> None:
        self._handle: MemoryHandle | None = None
        self._last_number = 0
        self._last_generation = -1
        self._holders: dict[Lease, tuple[int, int]] = {}  # (holder, epoch)

    @property
    def handle(self) -> MemoryHandle | None:
        """The pool there is now."""
        return self._handle

    @property
    def num_leases(self) -> int:
        return len(self._holders)

    def begin(self, handle: MemoryHandle) -> None:
        """The pool exists, in a generation that was never there. Raises PoolInUse before the last one has ended."""
        if self._handle is not None or self._holders:
            raise PoolInUse(f"generation {self._last_generation} of the pool has not ended")
        if handle.generation <= self._last_generation:
            raise StaleLease(f"generation {handle.generation} comes after {self._last_generation}")
        self._handle, self._last_generation = handle, handle.generation

    def grant(self, holder: int, epoch: int, offset: int = 0, size: int | None = None) -> Lease:
        """A lease of this life of `holder` on `size` bytes (None: all that follow). Raises StaleLease without a pool.

        Raises ValueError for bytes the pool does not have.
        """
        if self._handle is None:
            raise StaleLease("there is no pool to lease")
        size = self._handle.size - offset if size is None else size
        if offset < 0 or size <= 0 or offset + size > self._handle.size:
            raise ValueError(f"bytes {offset} ... {offset + size} of a pool of {self._handle.size}")
        self._last_number += 1
        lease = Lease(self._last_number, self._handle.generation, offset, size)
        self._holders[lease] = (holder, epoch)
        return lease

    def release(self, lease: Lease) -> None:
        """Its user has closed what it opened. Raises StaleLease when it ended before."""
        if self._holders.pop(lease, None) is None:
            raise StaleLease(f"lease {lease.number} has ended")

    def sweep(self, holder: int, epoch: int) -> int:
        """This life of `holder`, and any before it, has truly ended; how many leases it had."""
        ended = [lease for lease, (who, life) in self._holders.items() if who == holder and life <= epoch]
        for lease in ended:
            del self._holders[lease]
        return len(ended)

    def lose(self) -> None:
        """The owner died. Nothing is granted any more; leases stay until their users are known to be gone too."""
        self._handle = None

    def end(self) -> None:
        """The owner may free the pool and go. Raises PoolInUse while there are leases."""
        if self._holders:
            raise PoolInUse(f"{len(self._holders)} leases are held on the pool")
        self._handle = None


class LeasedPools(Generic[T]):
    """A user's side: opens each pool once however many leases it has on it, and closes it after the last one."""

    def __init__(self, opener: PoolOpener[T]) -> None:
        self._opener = opener
        self._buffers: dict[bytes, T] = {}  # by the handle's key
        self._leases: dict[bytes, set[Lease]] = {}

    def use(self, handle: MemoryHandle, lease: Lease, fds: tuple[int, ...] = ()) -> T:
        """All bytes of the pool, of which the lease's may be used until `done`. `fds` come with the first use only.

        Raises StaleLease for a lease of another generation or one that is used already, and what opening raises.
        """
        if lease.generation != handle.generation or lease in self._leases.get(handle.key, ()):
            raise StaleLease(
                f"lease {lease.number} is not for generation {handle.generation} of the pool, or used twice"
            )
        if handle.key not in self._buffers:
            self._buffers[handle.key] = self._opener.open(handle, fds)
            self._leases[handle.key] = set()
        self._leases[handle.key].add(lease)
        return self._buffers[handle.key]

    def done(self, handle: MemoryHandle, lease: Lease) -> None:
        """Nothing of the lease's bytes is used here any more. Raises StaleLease; RuleBroken as closing does."""
        leases = self._leases.get(handle.key, set())
        if lease not in leases:
            raise StaleLease(f"lease {lease.number} is not used here")
        leases.discard(lease)
        if not leases:
            del self._leases[handle.key], self._buffers[handle.key]
            self._opener.close(handle)
