"""CUDA IPC without a GPU: host memory that is handed around by CUDA's rules, each of which is enforced.

    | rule page: who exported, who has it open | pool, as long as was asked for                     one memfd

A key names a descriptor of the exporting process, so that, as with CUDA, a handle is nothing but bytes and is worth
nothing after that process' death. What CUDA leaves undefined (freeing before others closed, using memory of a dead
process) is RuleBroken here. Only tests use this, and `--device fake-cuda`.
"""

import contextlib
import mmap
import os
import struct
from collections.abc import Sequence

from ipc.device_memory.fake_rule_page import PAGE_BYTES, ProcessId, RulePage
from ipc.device_memory.interface import MemoryHandle, RuleBroken
from ipc.segments import Segment

_KEY = struct.Struct("<IIQ")  # process, descriptor there, the pool's random number


def fake_uuid(index: int) -> str:
    """The UUID of the fake GPU with this index."""
    return f"FAKE-{index:04d}"


class FakeCudaPool:
    """A pool of this process. See `PoolMemory`."""

    def __init__(self, size: int, device: str, process: ProcessId | None = None) -> None:
        """Takes the memory. `process` stands for this one where a test plays several in one.

        Raises SegmentError when memory does not suffice.
        """
        self._segment = Segment.create("fake-cuda", PAGE_BYTES + size)
        self._process = process or ProcessId.own()
        self._device = device
        self._number = int.from_bytes(os.urandom(8), "little")
        self._page = RulePage(self._segment.fd, self._segment.view[:PAGE_BYTES])
        self._page.begin(self._number, self._process)
        self._is_exported = False

    @property
    def buffer(self) -> memoryview:
        self._check_not_freed()
        return self._segment.view[PAGE_BYTES:]

    @property
    def descriptors(self) -> tuple[int, ...]:
        return ()

    def export(self, generation: int) -> MemoryHandle:
        self._check_not_freed()
        if self._is_exported:
            raise RuleBroken("a pool is exported once; what was exported is passed on as it is")
        self._is_exported = True
        key = _KEY.pack(os.getpid(), self._segment.fd, self._number)
        return MemoryHandle(self._device, key, self._segment.size - PAGE_BYTES, generation)

    def free(self) -> None:
        self._check_not_freed()
        users = self._page.living_users()
        if users:
            raise RuleBroken(f"memory was freed before {len(users)} processes closed it")
        self._page.end()
        self._let_go()

    def die(self) -> None:
        """What SIGKILL does to this pool's process, where a test plays it: no rule is asked. Fine after `free`."""
        if self._segment.fd >= 0:
            self._page.end()
            self._let_go()

    def _let_go(self) -> None:
        self._page.close()
        self._segment.close()

    def _check_not_freed(self) -> None:
        if self._segment.fd < 0:
            raise RuleBroken("the pool was freed")


class FakeCudaOpener:
    """Pools of other processes on one fake GPU. See `PoolOpener`."""

    def __init__(self, device: str, process: ProcessId | None = None) -> None:
        """`device`: the UUID of the GPU this process sees. `process` as in FakeCudaPool."""
        self._device = device
        self._process = process or ProcessId.own()
        self._open: dict[bytes, _Mapping] = {}  # by key

    def open(self, handle: MemoryHandle, fds: Sequence[int] = ()) -> memoryview:
        for fd in fds:
            os.close(fd)
        if fds:
            raise RuleBroken("CUDA's handles travel without descriptors")
        if handle.device != self._device:
            raise RuleBroken(f"the pool lies on {handle.device}, this process uses {self._device}")
        mapping = _Mapping(handle)
        try:
            if mapping.page.exporter == self._process:
                raise RuleBroken("the exporting process uses its pool as it is, it does not open it")
            mapping.page.note_open(self._process)
        except RuleBroken:
            mapping.unmap()
            raise
        self._open[handle.key] = mapping
        return mapping.buffer

    def buffer(self, handle: MemoryHandle) -> memoryview:
        """What `open` gave, once more. Raises RuleBroken after `close`, and when the exporter is gone."""
        mapping = self._open.get(handle.key)
        if mapping is None:
            raise RuleBroken("memory is used after it was closed")
        if not mapping.page.exporter_lives:
            raise RuleBroken("memory is used after its exporting process ended")
        return mapping.buffer

    def close(self, handle: MemoryHandle) -> None:
        mapping = self._open.get(handle.key)
        if mapping is None:
            raise RuleBroken("a pool is closed as often as it was opened")
        mapping.check_unused()
        mapping.page.note_close(self._process)
        mapping.unmap()
        del self._open[handle.key]

    def die(self) -> None:
        """What SIGKILL does to this process, where a test plays it: the driver closes what it had open."""
        for mapping in self._open.values():
            mapping.page.note_close(self._process)
            mapping.unmap()
        self._open.clear()


class _Mapping:
    """One opened pool, mapped twice: `buffer` is for its users, the rule page outlives a vain try to unmap it."""

    def __init__(self, handle: MemoryHandle) -> None:
        """Raises RuleBroken when the memory is gone."""
        pid, fd, number = _KEY.unpack(handle.key)
        size = PAGE_BYTES + handle.size
        try:
            self._fd = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
            self._page_map = mmap.mmap(self._fd, PAGE_BYTES)
            self._map = mmap.mmap(self._fd, size)
        except (OSError, ValueError) as error:
            raise RuleBroken("the exporting process is gone, and its memory with it") from error
        self.page = RulePage(self._fd, memoryview(self._page_map))
        self.buffer = memoryview(self._map)[PAGE_BYTES:]
        if not self.page.belongs_to(number):
            self.unmap()
            raise RuleBroken("the exporting process is gone, and its memory with it")

    def check_unused(self) -> None:
        """Raises RuleBroken while a tensor or array of this process lies in the pool."""
        try:
            self.buffer.release()
            self._map.close()
        except BufferError:
            self.buffer = memoryview(self._map)[PAGE_BYTES:]
            raise RuleBroken("a pool was closed while something here still lies in it") from None

    def unmap(self) -> None:
        """Views of the pool keep their part of it alive, as nothing does on a GPU."""
        self.page.close()
        self._page_map.close()
        with contextlib.suppress(BufferError):
            self.buffer.release()
            self._map.close()
        os.close(self._fd)
