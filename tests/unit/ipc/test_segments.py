"""Segments keep their size, can be made read-only, and refuse what memory cannot hold."""

import fcntl
import mmap
import os
import resource
from collections.abc import Iterator

import numpy as np
import pytest

from ipc.memory_available import memory_available
from ipc.segments import Segment, SegmentError


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create("test", 10_000)
    yield made
    made.close()


def test_fresh_memory_is_zero_and_as_long_as_asked_for(segment: Segment) -> None:
    assert segment.size == len(segment.view) == 10_000
    assert not any(segment.view)


@pytest.mark.parametrize("size", [0, 5_000, 20_000])
def test_the_size_is_sealed(segment: Segment, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(segment.fd, size)


def test_what_one_maps_another_sees(segment: Segment) -> None:
    other = Segment.attach(os.dup(segment.fd))
    segment.view[9_999] = 7
    assert other.view[9_999] == 7
    other.close()


def test_a_reader_cannot_write(segment: Segment) -> None:
    reader = Segment.attach(os.dup(segment.fd), writable=False)
    assert reader.view.readonly
    reader.close()


def test_all_bytes_are_allocated_at_once(segment: Segment) -> None:
    assert os.fstat(segment.fd).st_blocks * 512 >= segment.size


def test_it_is_not_inherited(segment: Segment) -> None:
    assert not os.get_inheritable(segment.fd)


def test_sealed_memory_cannot_be_mapped_for_writing() -> None:
    weights = Segment.create("weights", 4096, writable_until_sealed=True)
    weights.view[:3] = b"abc"
    assert not weights.is_write_sealed
    weights.seal_writes()
    assert weights.is_write_sealed
    with pytest.raises(SegmentError, match="cannot map"):
        Segment.attach(os.dup(weights.fd))
    with pytest.raises(PermissionError):
        os.pwrite(weights.fd, b"x", 0)
    reader = Segment.attach(os.dup(weights.fd), writable=False)
    assert bytes(reader.view[:3]) == b"abc"
    reader.close()
    weights.close()


def test_sealing_writes_must_be_foreseen(segment: Segment) -> None:
    with pytest.raises(SegmentError, match="final"):
        segment.seal_writes()


def test_more_than_there_is_is_refused_with_both_numbers() -> None:
    wanted = memory_available() + (1 << 40)
    with pytest.raises(SegmentError, match=f"wants {wanted:,} bytes of memory, [0-9,]+ are free"):
        Segment.create("huge", wanted)


def test_a_limit_met_while_allocating_is_an_error_not_a_signal() -> None:
    """Memory may go between looking and taking: posix_fallocate fails where a plain mapping would end in SIGBUS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(SegmentError, match="wants 16,384 bytes"):
            Segment.create("limited", 16_384)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_segment_is_refused(size: int) -> None:
    with pytest.raises(SegmentError, match="positive"):
        Segment.create("empty", size)


def test_a_name_of_any_length_and_form_will_do() -> None:
    Segment.create("weights of \0" + "models/" * 100, 4096).close()


def test_what_may_change_its_size_is_not_mapped() -> None:
    fd = os.memfd_create("loose", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)
    with pytest.raises(SegmentError, match="change its size"):
        Segment.attach(fd)


def test_what_is_no_segment_is_not_mapped() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(SegmentError, match="no memory segment"):
        Segment.attach(reading)


def test_an_array_outlives_close(segment: Segment) -> None:
    array = np.frombuffer(segment.view, np.uint8)
    segment.close()
    segment.close()
    array[9_999] = 3
    assert array[9_999] == 3


def test_the_mapping_goes_with_its_last_view() -> None:
    """The leak fixture sees the mapping: it must be gone when the array is."""
    segment = Segment.create("viewed", mmap.PAGESIZE)
    part = segment.view[10:20]
    segment.close()
    assert bytes(part) == bytes(10)


def test_the_seals_are_what_the_kernel_says(segment: Segment) -> None:
    seals = fcntl.fcntl(segment.fd, fcntl.F_GET_SEALS)
    assert seals & fcntl.F_SEAL_SEAL
    assert seals & fcntl.F_SEAL_SHRINK
    assert seals & fcntl.F_SEAL_GROW


def test_what_is_faulted_in_takes_no_fault_when_it_is_used() -> None:
    size, page = 16 << 20, mmap.PAGESIZE
    segment = Segment.create("test", size)
    try:
        half = size // 2
        if not segment.fault_in(half, size):  # more than there is: to the end
            pytest.skip("this kernel cannot fault memory in")
        assert _faults_of_writing(segment, 0, half) > half // page // 2
        assert _faults_of_writing(segment, half, size) < half // page // 50
    finally:
        segment.close()


def _faults_of_writing(segment: Segment, start: int, end: int) -> int:
    """Page faults of this process while each page is written to; those of its other threads are few."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for at in range(start, end, mmap.PAGESIZE):
        segment.view[at] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
