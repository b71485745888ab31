"""What a pool's memory is, whatever the device; for `host.py`, `fake_cuda.py` and `workers/cuda_memory.py`.

One process owns a pool (on a GPU the keeper) and exports it once; others open what it exported. CUDA's rules hold for
all back ends, and the fake one enforces them:

    exported once            opened once a process, never in the exporting one       only on the device of its UUID
    closed as often as opened       freed after every living process closed it       the exporter outlives its users

Who may use which part of a pool, and until when, is the business of `leases.py`; what the bytes mean is not known here.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from ipc.errors import ZerolaneError

HOST = "host"  # MemoryHandle.device of this machine's own memory
Buffer_co = TypeVar("Buffer_co", covariant=True)


class RuleBroken(ZerolaneError):
    """A rule of device memory was broken: always a mistake of ours. On a real GPU much of it would go unnoticed."""


class MemoryHandle(Struct, frozen=True, array_like=True):
    """One exported pool as it travels between processes."""

    device: str  # UUID, because indexes differ between processes; HOST
    key: bytes  # what the back end opens it with; no two pools have the same, and it says nothing to others
    size: int  # bytes
    generation: int  # the exporting process's life: after its death no byte behind the handle counts


class PoolMemory(Protocol[Buffer_co]):
    """A pool in the process that owns it."""

    @property
    def buffer(self) -> Buffer_co:
        """All bytes: a memoryview, or a uint8 tensor. Raises RuleBroken after `free`."""
        ...

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What must travel beside the handle; stays open here. Empty where the handle is enough."""
        ...

    def export(self, generation: int) -> MemoryHandle:
        """The handle; allowed once. Raises RuleBroken."""
        ...

    def free(self) -> None:
        """Give the memory back, after everybody closed it; once. Raises RuleBroken."""
        ...


class PoolOpener(Protocol[Buffer_co]):
    """Other processes' pools, in this process."""

    def open(self, handle: MemoryHandle, fds: Sequence[int] = ()) -> Buffer_co:
        """All bytes of the pool. Takes over the descriptors that came beside the handle, also when it raises.

        Raises RuleBroken; SegmentError when the memory cannot be mapped.
        """
        ...

    def close(self, handle: MemoryHandle) -> None:
        """Nothing of it is used here any more, views included. Raises RuleBroken."""
        ...
