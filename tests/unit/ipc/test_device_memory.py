"""Each rule of device memory, broken once; and what leases promise."""

import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from ipc.codec import Decoder, encode
from ipc.device_memory.fake_cuda import FakeCudaOpener, FakeCudaPool, fake_uuid
from ipc.device_memory.fake_rule_page import ProcessId
from ipc.device_memory.host import HostOpener, HostPool
from ipc.device_memory.interface import HOST, MemoryHandle, RuleBroken
from ipc.device_memory.leases import LeasedPools, Leases, PoolInUse, StaleLease
from ipc.segments import SegmentError

SIZE = 10_000
GPU = fake_uuid(0)


@pytest.fixture
def pool() -> Iterator[FakeCudaPool]:
    """Of another process, as far as the fake knows."""
    pool = FakeCudaPool(SIZE, GPU, ProcessId.own(instance=1))
    yield pool
    pool.die()


@pytest.fixture
def opener() -> Iterator[FakeCudaOpener]:
    opener = FakeCudaOpener(GPU)
    yield opener
    opener.die()


def test_a_handle_is_bytes_and_opens_the_same_memory(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    decoder: Decoder[MemoryHandle] = Decoder(MemoryHandle)
    handle = decoder.decode(encode(pool.export(generation=3)))
    assert (handle.device, handle.size, handle.generation) == (GPU, SIZE, 3)
    seen = opener.open(handle)
    pool.buffer[:5] = b"hello"
    assert (len(seen), bytes(seen[:5])) == (SIZE, b"hello")
    opener.close(handle)
    pool.free()
    with pytest.raises(RuleBroken, match="freed"):
        pool.free()


def test_exporting_twice(pool: FakeCudaPool) -> None:
    pool.export(1)
    with pytest.raises(RuleBroken, match="exported once"):
        pool.export(2)


def test_opening_twice_in_one_process(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    opener.open(handle)
    with pytest.raises(RuleBroken, match="opens a pool once"):
        FakeCudaOpener(GPU).open(handle)  # a second cache in the same process is no excuse
    other = FakeCudaOpener(GPU, ProcessId.own(instance=2))
    other.open(handle)
    other.die()


def test_opening_in_the_exporting_process(pool: FakeCudaPool) -> None:
    with pytest.raises(RuleBroken, match="does not open it"):
        FakeCudaOpener(GPU, ProcessId.own(instance=1)).open(pool.export(1))


def test_opening_on_another_device(pool: FakeCudaPool) -> None:
    with pytest.raises(RuleBroken, match="lies on FAKE-0000, this process uses FAKE-0001"):
        FakeCudaOpener(fake_uuid(1)).open(pool.export(1))


def test_closing_more_often_than_opening(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    with pytest.raises(RuleBroken, match="as often as it was opened"):
        opener.close(handle)
    opener.open(handle)
    opener.close(handle)
    with pytest.raises(RuleBroken, match="as often as it was opened"):
        opener.close(handle)


def test_freeing_before_everybody_closed(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    opener.open(handle)
    with pytest.raises(RuleBroken, match="before 1 processes closed it"):
        pool.free()
    opener.close(handle)
    pool.free()
    with pytest.raises(RuleBroken, match="gone"):
        opener.open(handle)


def test_using_after_close(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    opener.open(handle)
    assert len(opener.buffer(handle)) == SIZE
    opener.close(handle)
    with pytest.raises(RuleBroken, match="after it was closed"):
        opener.buffer(handle)


def test_closing_while_an_array_lies_in_it(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    array = np.frombuffer(opener.open(handle)[64:128], np.uint8)
    with pytest.raises(RuleBroken, match="still lies in it"):
        opener.close(handle)
    assert len(opener.buffer(handle)) == SIZE
    del array
    opener.close(handle)


def test_using_after_the_exporter_died(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    opener.open(handle)
    pool.die()
    with pytest.raises(RuleBroken, match="exporting process ended"):
        opener.buffer(handle)
    with pytest.raises(RuleBroken, match="gone"):
        FakeCudaOpener(GPU, ProcessId.own(instance=2)).open(handle)


def test_a_process_that_died_does_not_keep_memory(pool: FakeCudaPool) -> None:
    handle = pool.export(1)
    victim = FakeCudaOpener(GPU, ProcessId.own(instance=2))
    victim.open(handle)
    victim.die()
    pool.free()


def test_host_memory_keeps_the_rules_it_can_see() -> None:
    pool, opener = HostPool(SIZE), HostOpener()
    (fd,) = pool.descriptors
    handle = pool.export(1)
    with pytest.raises(RuleBroken, match="exported once"):
        pool.export(2)
    with pytest.raises(RuleBroken, match="one descriptor"):
        opener.open(handle)
    with pytest.raises(RuleBroken, match="no host memory"):
        opener.open(replace(handle, device=GPU), (os.dup(fd),))
    with pytest.raises(RuleBroken, match="leads to"):
        opener.open(replace(handle, size=SIZE + 1), (os.dup(fd),))
    with pytest.raises(SegmentError):
        opener.open(handle, (os.open(sys.executable, os.O_RDONLY | os.O_CLOEXEC),))
    seen = opener.open(handle, (os.dup(fd),))
    with pytest.raises(RuleBroken, match="opens a pool once"):
        opener.open(handle, (os.dup(fd),))
    pool.buffer[:3] = b"abc"
    pool.free()
    assert (handle.device, bytes(seen[:3])) == (HOST, b"abc")
    opener.close(handle)
    with pytest.raises(RuleBroken, match="as often"):
        opener.close(handle)


def test_leases_end_with_their_holder_and_keep_the_pool() -> None:
    leases = Leases()
    with pytest.raises(StaleLease, match="no pool"):
        leases.grant(1, 1)
    leases.begin(MemoryHandle(GPU, b"k", 100, 1))
    whole, part = leases.grant(holder=1, epoch=1), leases.grant(holder=2, epoch=5, offset=60, size=40)
    assert (whole.size, part.offset, part.generation) == (100, 60, 1)
    for offset, size in ((60, 41), (-1, 5), (0, 0), (100, None)):
        with pytest.raises(ValueError, match="of a pool of 100"):
            leases.grant(1, 1, offset, size)
    leases.release(whole)
    with pytest.raises(StaleLease):
        leases.release(whole)
    assert leases.sweep(holder=2, epoch=4) == 0  # an earlier life's end says nothing about this one
    with pytest.raises(PoolInUse):
        leases.end()
    assert leases.sweep(holder=2, epoch=5) == 1
    leases.end()


def test_a_lost_pool_returns_only_when_its_users_are_gone() -> None:
    leases = Leases()
    leases.begin(MemoryHandle(GPU, b"k", 100, 1))
    leases.grant(holder=1, epoch=1)
    leases.lose()
    with pytest.raises(StaleLease):
        leases.grant(holder=2, epoch=1)
    with pytest.raises(PoolInUse):
        leases.begin(MemoryHandle(GPU, b"k2", 100, 2))
    leases.sweep(1, 1)
    with pytest.raises(StaleLease, match="comes after"):
        leases.begin(MemoryHandle(GPU, b"k2", 100, 1))
    leases.begin(MemoryHandle(GPU, b"k2", 100, 2))
    assert leases.grant(holder=1, epoch=2).generation == 2


def test_many_leases_open_a_pool_once(pool: FakeCudaPool, opener: FakeCudaOpener) -> None:
    handle = pool.export(1)
    leases, pools = Leases(), LeasedPools(opener)
    leases.begin(handle)
    first, second = leases.grant(1, 1, 0, 10), leases.grant(1, 1, 10, 10)
    assert pools.use(handle, first) is pools.use(handle, second)
    with pytest.raises(StaleLease, match="used twice"):
        pools.use(handle, first)
    with pytest.raises(StaleLease, match="not for generation"):
        pools.use(handle, replace(second, generation=0))
    pools.done(handle, first)
    with pytest.raises(StaleLease, match="not used here"):
        pools.done(handle, first)
    pools.done(handle, second)
    pool.free()
