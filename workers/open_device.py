"""The memory of the device a server computes on, as torch tensors: "cuda", or "fake-cuda", which lies on the host."""

from collections.abc import Sequence

import torch

from ipc.device_memory.fake_cuda import FakeCudaOpener, FakeCudaPool, fake_uuid
from ipc.device_memory.interface import MemoryHandle, PoolMemory, PoolOpener

FAKE = "fake-cuda"


def take_pool(device: str, index: int, size: int) -> PoolMemory[torch.Tensor]:
    """A zeroed pool of this process on the device's GPU `index`. Raises StartupError, SegmentError."""
    if device == FAKE:
        return _FakeTensorPool(size, index)
    from workers.cuda_memory import CudaPool  # touches CUDA

    return CudaPool(size, index)


def opener_of(handle: MemoryHandle) -> PoolOpener[torch.Tensor]:
    """Who opens pools like this one in a process that uses one GPU."""
    if handle.device.startswith(fake_uuid(0)[:5]):
        return _FakeTensorOpener(handle.device)
    from workers.cuda_memory import CudaOpener

    return CudaOpener()


class _FakeTensorPool:
    """A fake pool, seen as a tensor."""

    def __init__(self, size: int, index: int) -> None:
        self._pool = FakeCudaPool(size, fake_uuid(index))

    @property
    def buffer(self) -> torch.Tensor:
        return torch.frombuffer(self._pool.buffer, dtype=torch.uint8)

    @property
    def descriptors(self) -> tuple[int, ...]:
        return self._pool.descriptors

    def export(self, generation: int) -> MemoryHandle:
        return self._pool.export(generation)

    def free(self) -> None:
        self._pool.free()


class _FakeTensorOpener:
    """A fake GPU's pools, seen as tensors."""

    def __init__(self, device: str) -> None:
        self._opener = FakeCudaOpener(device)

    def open(self, handle: MemoryHandle, fds: Sequence[int] = ()) -> torch.Tensor:
        return torch.frombuffer(self._opener.open(handle, fds), dtype=torch.uint8)

    def close(self, handle: MemoryHandle) -> None:
        self._opener.close(handle)
