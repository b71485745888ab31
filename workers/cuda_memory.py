"""Pools in a GPU's memory, handed to other processes by CUDA IPC through torch. See `ipc/device_memory/interface.py`.

torch counts the users of an exported storage for itself, in a file that a killed user never corrects: nothing here
relies on it. The pool is given back by the end of its process, after the leases said that nobody uses it.

Written without a GPU at hand: what of it has run where stands in `docs/decisions/0006-device-memory.md`.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from msgspec import Struct

from ipc.device_memory.interface import MemoryHandle, RuleBroken
from ipc.errors import StartupError

LEFT_FREE = 512 << 20  # bytes of the GPU for each worker's own context and scratch memory


class _Key(Struct, frozen=True, array_like=True):
    """What torch wants back to open a storage; without the device's index, which is another one in each process."""

    handle: bytes
    size: int
    offset: int
    ref_counter: bytes
    ref_counter_offset: int
    event: bytes
    event_sync_required: bool


_decoder = msgspec.msgpack.Decoder(_Key)


def cuda_uuid(index: int) -> str:
    """The UUID of the device with this index in this process."""
    return f"GPU-{torch.cuda.get_device_properties(index).uuid}"


def cuda_index(uuid: str) -> int:
    """The index this process has for a device. Raises RuleBroken when it does not see it."""
    for index in range(torch.cuda.device_count()):
        if cuda_uuid(index) == uuid:
            return index
    raise RuleBroken(f"this process does not see {uuid}; does CUDA_VISIBLE_DEVICES hide it?")


class CudaPool:
    """A pool of this process, which should have taken no other memory of the GPU before. See `PoolMemory`."""

    def __init__(self, size: int, index: int) -> None:
        """Takes `size` bytes, zeroed. Raises StartupError when the GPU does not have them."""
        free, _ = torch.cuda.mem_get_info(index)
        if size + LEFT_FREE > free:
            raise StartupError(
                f"weights and KV pages take {size:,} bytes of GPU {index}, which has {free:,} free",
                "give less --kv-cache-memory, or end what else uses the GPU",
            )
        self._index = index
        self._buffer: torch.Tensor | None = torch.zeros(size, dtype=torch.uint8, device=f"cuda:{index}")
        self._is_exported = False

    @property
    def buffer(self) -> torch.Tensor:
        if self._buffer is None:
            raise RuleBroken("the pool was freed")
        return self._buffer

    @property
    def descriptors(self) -> tuple[int, ...]:
        return ()

    def export(self, generation: int) -> MemoryHandle:
        """Also waits until all that was written to the pool is there."""
        if self._is_exported:
            raise RuleBroken("a pool is exported once; what was exported is passed on as it is")
        buffer = self.buffer
        torch.cuda.synchronize(self._index)
        storage: Any = buffer.untyped_storage()
        _, handle, size, offset, counter, counter_offset, event, must_sync = storage._share_cuda_()
        self._is_exported = True
        key = _Key(bytes(handle), size, offset, bytes(counter), counter_offset, bytes(event), bool(must_sync))
        return MemoryHandle(cuda_uuid(self._index), msgspec.msgpack.encode(key), size, generation)

    def free(self) -> None:
        """The memory itself goes with the process: torch holds exported memory while its own count says so."""
        self.buffer.untyped_storage()
        self._buffer = None


class CudaOpener:
    """Pools of other processes. See `PoolOpener`."""

    def __init__(self) -> None:
        self._open: dict[bytes, torch.Tensor] = {}  # by key

    def open(self, handle: MemoryHandle, fds: Sequence[int] = ()) -> torch.Tensor:
        with contextlib.ExitStack() as stack:
            for fd in fds:
                stack.callback(os.close, fd)
        if handle.key in self._open:
            raise RuleBroken("a process opens a pool once and keeps it")
        key = _decoder.decode(handle.key)
        index = cuda_index(handle.device)
        with torch.cuda.device(index):
            torch.cuda.init()
            storage = torch.UntypedStorage._new_shared_cuda(
                index,
                key.handle,
                key.size,
                key.offset,
                key.ref_counter,
                key.ref_counter_offset,
                key.event,
                key.event_sync_required,
            )
        pool = torch.empty(0, dtype=torch.uint8, device=f"cuda:{index}").set_(storage)
        self._open[handle.key] = pool
        return pool

    def close(self, handle: MemoryHandle) -> None:
        """torch unmaps it when the last tensor in it is gone: drop those first."""
        if self._open.pop(handle.key, None) is None:
            raise RuleBroken("a pool is closed as often as it was opened")
