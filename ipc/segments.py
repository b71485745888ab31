"""Memory segments: sealed memfds that outlive whoever writes them.

A segment has no name in any file system; it lives as long as one process holds its descriptor or maps it, and the
kernel frees it after the last one. Its size never changes (sealed), and every byte is allocated at creation, so that
touching it can never end in SIGBUS. This module does not know what the bytes mean.
"""

import contextlib
import errno
import fcntl
import mmap
import os

from ipc.errors import ZerolaneError
from ipc.memory_available import memory_available

MFD_NOEXEC_SEAL = 0x0008  # linux/memfd.h: the memory can never be executed; some systems demand it
F_SEAL_FUTURE_WRITE = 0x0010  # linux/fcntl.h; Python's fcntl module names it only from 3.13 on
MADV_POPULATE_READ = 22  # linux/mman.h, kernel 5.14 and later
MADV_COLLAPSE = 25  # linux/mman.h, kernel 6.1 and later
FIXED_SIZE = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class SegmentError(ZerolaneError):
    """A segment cannot be made or is not what it should be."""


class Segment:
    """One mapped memfd. `view` is the whole of it; `fd` is ours until `close`."""

    def __init__(self, fd: int, writable: bool) -> None:
        """Map `fd`; use `create` or `attach`. Takes ownership of `fd`, also when it raises SegmentError."""
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self.writable = writable
        try:
            self._map = mmap.mmap(fd, self.size, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            os.close(fd)
            raise SegmentError(f"cannot map a segment of {self.size:,} bytes: {error}") from error
        self.view = memoryview(self._map)

    @classmethod
    def create(cls, name: str, size: int, writable_until_sealed: bool = False) -> "Segment":
        """A zeroed segment of `size` bytes, all of them allocated now. `name` only shows in /proc.

        `writable_until_sealed` leaves the way open for `seal_writes`. Raises SegmentError when memory does not suffice.
        """
        if size <= 0:
            raise SegmentError(f"segment {name} of {size} bytes: the size must be positive")
        free = memory_available()
        if size > free:
            raise _too_large(name, size, free)
        fd = _memfd(name)
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError as error:
            os.close(fd)
            raise _too_large(name, size, free) from error
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, FIXED_SIZE if writable_until_sealed else FIXED_SIZE | fcntl.F_SEAL_SEAL)
        return cls(fd, writable=True)

    @classmethod
    def attach(cls, fd: int, writable: bool = True) -> "Segment":
        """Map a segment another process made. Takes ownership of `fd`, also when it raises.

        Raises SegmentError when `fd` is no memfd of sealed size, or is sealed against the asked-for writing.
        """
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError as error:
            os.close(fd)
            raise SegmentError(f"descriptor {fd} is no memory segment: {error}") from error
        if seals & FIXED_SIZE != FIXED_SIZE:
            os.close(fd)
            raise SegmentError(f"the segment behind descriptor {fd} can change its size; refusing to map it")
        return cls(fd, writable)

    @property
    def is_write_sealed(self) -> bool:
        """Nobody can map the segment for writing any more."""
        return bool(fcntl.fcntl(self.fd, fcntl.F_GET_SEALS) & F_SEAL_FUTURE_WRITE)

    def seal_writes(self) -> None:
        """From now on nobody can write to the segment, except through mappings that exist already.

        Raises SegmentError when it was not made with `writable_until_sealed`.
        """
        try:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL)
        except OSError as error:
            raise SegmentError(f"this segment's seals are final, it cannot be made read-only: {error}") from error

    def use_huge_pages(self) -> bool:
        """Bring the whole segment onto huge pages, for all who map it, and into this mapping: reading large weights is
        some 10 % faster. Takes about 2.5 s a GB the first time, nothing after that.

        False: the system gives none. For shared memory most do not, until /sys/kernel/mm/transparent_hugepage/
        shmem_enabled says `advise`.
        """
        try:
            self._map.madvise(MADV_COLLAPSE)
        except OSError:
            return False
        return True

    def fault_in(self, start: int, length: int) -> bool:
        """Bring a part, from a multiple of the system's page size on, into this mapping, so that its first use takes no
        page faults: they cost ten times as much one by one, with several threads. About 0.1 s a GB; 0.7 s the first
        time after creation, when the kernel clears it.

        False: this kernel cannot.
        """
        try:
            self._map.madvise(MADV_POPULATE_READ, start, min(length, self.size - start))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give up the descriptor and the mapping; twice is fine.

        Views taken from `view` (also numpy arrays) stay valid: the mapping goes with the last of them.
        """
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        with contextlib.suppress(BufferError):  # somebody still reads: the mapping is freed with the last view
            self.view.release()
            self._map.close()
        self.view = memoryview(b"")
        del self._map


def _memfd(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    short = name[:60].replace("\0", "")  # the kernel takes 249 bytes
    try:
        return os.memfd_create(short, flags | MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise SegmentError(f"cannot make the memory segment {name}: {error.strerror}") from error
        return os.memfd_create(short, flags)  # a kernel before 6.3 does not know the flag


def _too_large(name: str, size: int, free: int) -> SegmentError:
    return SegmentError(f"segment {name} wants {size:,} bytes of memory, {free:,} are free")
