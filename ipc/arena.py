"""Blocks of shared memory, leased by one allocator, read by many processes.

    | header 0 | header 1 | ...            | granule 0 (4 KiB) | granule 1 | ...
      64 bytes each: generation, epoch, size

A block is a power of two of granules; a buddy allocator splits them, and merges them when a lease would else fail. Its
header is the one of its first granule, so data never lies where a header is expected. The generation changes at every
lease and every release: a reader that comes with the handle of an ended lease is told so. Who leases what is known to
the allocator alone; it dies with it, and its successor starts with a new epoch and all blocks free.
"""

import struct
from dataclasses import dataclass

from msgspec import Struct

from ipc.errors import ProtocolError, ZerolaneError
from ipc.segments import Segment

GRANULE = 4096  # bytes, the smallest block
LINE = 64
HANDLE_BYTES = 32
_PACKED = struct.Struct("<4Q")
_GENERATION, _EPOCH, _SIZE = 0, 1, 2  # 8-byte words of a header


class StaleHandle(ZerolaneError):
    """The lease of this handle has ended, or it never was one of this arena."""


class Handle(Struct, frozen=True, array_like=True):
    """A lease as it travels between processes. `size` is what was asked for; the block may be longer."""

    offset: int  # bytes from the segment's start, a multiple of GRANULE
    size: int
    generation: int
    epoch: int  # the allocator's

    def pack(self) -> bytes:
        """HANDLE_BYTES bytes."""
        return _PACKED.pack(self.offset, self.size, self.generation, self.epoch)

    @classmethod
    def unpack(cls, packed: bytes | memoryview) -> "Handle":
        """The inverse of `pack`. Raises ProtocolError for another length."""
        if len(packed) != HANDLE_BYTES:
            raise ProtocolError(f"an arena handle has {HANDLE_BYTES} bytes, not {len(packed)}")
        return cls(*_PACKED.unpack(packed))


class _Layout:
    """Where headers and granules lie in a segment: follows from its size alone."""

    def __init__(self, segment: Segment) -> None:
        self.num_granules = segment.size // (GRANULE + LINE)
        self.data_start = -(-self.num_granules * LINE // GRANULE) * GRANULE
        while self.num_granules and self.data_start + self.num_granules * GRANULE > segment.size:
            self.num_granules -= 1  # the headers' own rounding may cost one granule
        if not self.num_granules:
            raise ProtocolError(f"a segment of {segment.size} bytes is too small for an arena")
        self.bytes = segment.view
        self.words = segment.view[: self.num_granules * LINE].cast("Q")

    def header(self, handle: Handle) -> int:
        """Index of the first header word of the handle's block. Raises StaleHandle when its lease has ended."""
        granule, rest = divmod(handle.offset - self.data_start, GRANULE)
        if rest or not 0 <= granule < self.num_granules:
            raise StaleHandle(f"offset {handle.offset} is no block of this arena")
        word = granule * LINE // 8
        words = self.words
        found = (words[word + _GENERATION], words[word + _EPOCH], words[word + _SIZE])
        if found != (handle.generation, handle.epoch, handle.size) or not handle.generation % 2:
            raise StaleHandle(f"the lease of {handle.size} bytes at {handle.offset} has ended")
        return word


@dataclass(slots=True)
class _Lease:
    order: int  # the block has 2**order granules
    holder: int


class Arena:
    """The one allocator of a segment."""

    def __init__(self, segment: Segment, epoch: int) -> None:
        """Start with all blocks free. `epoch` must be larger than that of every allocator this segment had before."""
        self._layout = _Layout(segment)
        self._epoch = epoch
        self._generation = 0  # odd while a block is leased, even in a released one
        self._leases: dict[int, _Lease] = {}  # by the block's first granule
        # Free blocks by order. Dicts for their order: what was released last is leased first, it is still in caches.
        self._free: list[dict[int, None]] = [{} for _ in range(self._layout.num_granules.bit_length())]
        self._may_merge = False  # blocks were released since the last merging
        start = 0
        for order in reversed(range(len(self._free))):
            if self._layout.num_granules >> order & 1:
                self._free[order][start] = None
                start += 1 << order

    @property
    def num_leases(self) -> int:
        return len(self._leases)

    @property
    def num_free_bytes(self) -> int:
        """Bytes in free blocks; the largest lease possible now may be smaller."""
        return sum(len(blocks) << order for order, blocks in enumerate(self._free)) * GRANULE

    def lease(self, size: int, holder: int) -> Handle | None:
        """A block of at least `size` bytes with whatever bytes it had; None: no free block is long enough.

        `holder` is the worker the block is for: `sweep` ends the leases of a dead one. Ends with `release`.
        """
        if size <= 0:
            raise ValueError(f"lease of {size} bytes")
        order = (-(-size // GRANULE) - 1).bit_length()
        granule = self._take(order)
        if granule is None and self._may_merge:
            self._merge()
            granule = self._take(order)
        if granule is None:
            return None
        self._leases[granule] = _Lease(order, holder)
        self._generation += 2
        generation = self._generation - 1
        self._write_header(granule, generation, size)
        return Handle(self._layout.data_start + granule * GRANULE, size, generation, self._epoch)

    def view(self, handle: Handle) -> memoryview:
        """The block's first `handle.size` bytes, writable; not to be used after `release`. Raises StaleHandle."""
        self._layout.header(handle)
        return self._layout.bytes[handle.offset : handle.offset + handle.size]

    def release(self, handle: Handle) -> None:
        """End the lease; from now on its handle is stale everywhere. Raises StaleHandle when it ended before."""
        self._layout.header(handle)
        granule = (handle.offset - self._layout.data_start) // GRANULE
        if granule not in self._leases:
            raise StaleHandle(f"the lease of {handle.size} bytes at {handle.offset} has ended")
        self._free_block(granule)

    def sweep(self, holder: int) -> int:
        """End all leases of a dead holder; how many there were."""
        granules = [granule for granule, lease in self._leases.items() if lease.holder == holder]
        for granule in granules:
            self._free_block(granule)
        return len(granules)

    def _take(self, order: int) -> int | None:
        """Remove a free block of 2**order granules, splitting a larger one when there is none."""
        for available in range(order, len(self._free)):
            if self._free[available]:
                granule, _ = self._free[available].popitem()
                for half in reversed(range(order, available)):
                    self._free[half][granule + (1 << half)] = None
                return granule
        return None

    def _free_block(self, granule: int) -> None:
        """End the lease. Merging is put off: steps of much the same size follow one another."""
        self._generation += 2
        self._write_header(granule, self._generation, 0)
        self._free[self._leases.pop(granule).order][granule] = None
        self._may_merge = True

    def _merge(self) -> None:
        """Join all free neighbours that were split from one block."""
        for order, blocks in enumerate(self._free[:-1]):
            for granule in sorted(blocks):
                buddy = granule ^ 1 << order
                if granule < buddy and buddy in blocks:
                    del blocks[granule], blocks[buddy]
                    self._free[order + 1][granule] = None
        self._may_merge = False

    def _write_header(self, granule: int, generation: int, size: int) -> None:
        word = granule * LINE // 8
        words = self._layout.words
        words[word + _EPOCH] = self._epoch
        words[word + _SIZE] = size
        words[word + _GENERATION] = generation


class ArenaReader:
    """Another process' eyes on the arena; takes and frees nothing."""

    def __init__(self, segment: Segment) -> None:
        """`segment` must outlive the reader. Raises ProtocolError when it is too small for an arena."""
        self._layout = _Layout(segment)

    def view(self, handle: Handle) -> memoryview:
        """The leased bytes, writable when the segment is; valid until the lease ends. Raises StaleHandle."""
        self._layout.header(handle)
        if handle.offset + handle.size > len(self._layout.bytes):
            raise StaleHandle(f"a lease of {handle.size} bytes at {handle.offset} passes the arena's end")
        return self._layout.bytes[handle.offset : handle.offset + handle.size]

    def is_current(self, handle: Handle) -> bool:
        """The lease has not ended: asked after reading, it tells that what was read belongs to the handle."""
        try:
            self._layout.header(handle)
        except StaleHandle:
            return False
        return True
