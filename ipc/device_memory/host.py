"""Pools in this machine's own memory: a sealed memfd, whose descriptor travels beside the handle.

The kernel keeps the memory as long as anybody maps it, so most rules could be broken here without harm. Those that cost
nothing to check are checked all the same, so that code tried here does not fail on a GPU.
"""

import os
from collections.abc import Sequence

from ipc.device_memory.interface import HOST, MemoryHandle, RuleBroken
from ipc.segments import Segment

_KEY_BYTES = 16


class HostPool:
    """A pool of this process. See `PoolMemory`."""

    def __init__(self, size: int) -> None:
        """Takes `size` bytes, zeroed. Raises SegmentError when memory does not suffice."""
        self._segment = Segment.create("pool", size)
        self._key = os.urandom(_KEY_BYTES)
        self._is_exported = False

    @property
    def buffer(self) -> memoryview:
        self._check_not_freed()
        return self._segment.view

    @property
    def descriptors(self) -> tuple[int, ...]:
        self._check_not_freed()
        return (self._segment.fd,)

    def export(self, generation: int) -> MemoryHandle:
        self._check_not_freed()
        if self._is_exported:
            raise RuleBroken("a pool is exported once")
        self._is_exported = True
        return MemoryHandle(HOST, self._key, self._segment.size, generation)

    def free(self) -> None:
        self._check_not_freed()
        self._segment.close()

    def _check_not_freed(self) -> None:
        if self._segment.fd < 0:
            raise RuleBroken("the pool was freed")


class HostOpener:
    """Pools of other processes. See `PoolOpener`."""

    def __init__(self) -> None:
        self._open: dict[bytes, Segment] = {}  # by key

    def open(self, handle: MemoryHandle, fds: Sequence[int] = ()) -> memoryview:
        wrong = self._wrong(handle, fds)
        if wrong:
            for fd in fds:
                os.close(fd)
            raise RuleBroken(wrong)
        segment = Segment.attach(fds[0])
        if segment.size != handle.size:
            segment.close()
            raise RuleBroken(f"the descriptor of a pool of {handle.size} bytes leads to {segment.size}")
        self._open[handle.key] = segment
        return segment.view

    def close(self, handle: MemoryHandle) -> None:
        segment = self._open.pop(handle.key, None)
        if segment is None:
            raise RuleBroken("a pool is closed as often as it was opened")
        segment.close()

    def _wrong(self, handle: MemoryHandle, fds: Sequence[int]) -> str:
        """Why this cannot be opened; "" if nothing speaks against it."""
        if handle.device != HOST:
            return f"a pool of device {handle.device} is no host memory"
        if len(fds) != 1:
            return f"a pool of host memory comes with one descriptor, not {len(fds)}"
        return "a process opens a pool once" if handle.key in self._open else ""
