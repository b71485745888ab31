"""Tensors travel by handle and come out as they went in; what does not fit its lease is refused."""

from collections.abc import Callable

import numpy as np
import pytest

from ipc.arena import Arena, ArenaReader, Handle, StaleHandle
from ipc.arena_tensors import STORED_AS, Array, TensorHandle, read_tensor, write_tensor
from ipc.errors import ProtocolError
from ipc.segments import Segment

MakeSegment = Callable[[int], Segment]


@pytest.mark.parametrize("name", sorted(STORED_AS))
def test_every_type_comes_back(make_segment: MakeSegment, name: str) -> None:
    segment = make_segment(1 << 20)
    arena = Arena(segment, epoch=1)
    values: Array = np.arange(24).reshape(2, 3, 4).astype(STORED_AS[name])
    tensor = write_tensor(arena, values, holder=1, dtype=name)
    assert tensor is not None
    assert (tensor.dtype, tensor.shape) == (name, (2, 3, 4))
    np.testing.assert_array_equal(read_tensor(ArenaReader(segment), tensor), values)


def test_reading_copies_nothing(make_segment: MakeSegment) -> None:
    segment = make_segment(1 << 20)
    arena = Arena(segment, epoch=1)
    tensor = write_tensor(arena, np.zeros(5, np.float32), holder=1)
    assert tensor is not None
    read_tensor(arena, tensor)[2] = 7
    assert read_tensor(ArenaReader(segment), tensor)[2] == 7


def test_a_strided_tensor_is_laid_out_in_rows(make_segment: MakeSegment) -> None:
    segment = make_segment(1 << 20)
    values = np.arange(12, dtype=np.int32).reshape(3, 4).T
    tensor = write_tensor(Arena(segment, epoch=1), values, holder=1)
    assert tensor is not None
    np.testing.assert_array_equal(read_tensor(ArenaReader(segment), tensor), values)


def test_a_full_arena_says_so(make_segment: MakeSegment) -> None:
    assert write_tensor(Arena(make_segment(16_384), epoch=1), np.zeros(1 << 20, np.uint8), holder=1) is None


def test_an_ended_lease_is_stale(make_segment: MakeSegment) -> None:
    segment = make_segment(1 << 20)
    arena = Arena(segment, epoch=1)
    tensor = write_tensor(arena, np.zeros(5), holder=1)
    assert tensor is not None
    arena.release(tensor.handle)
    with pytest.raises(StaleHandle):
        read_tensor(ArenaReader(segment), tensor)


@pytest.mark.parametrize("values", [np.array([object()]), np.array(["text"]), np.zeros(0), np.zeros(3, np.complex64)])
def test_other_types_do_not_travel(make_segment: MakeSegment, values: Array) -> None:
    with pytest.raises(ProtocolError, match="cannot travel"):
        write_tensor(Arena(make_segment(1 << 20), epoch=1), values, holder=1)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float32", (6,)),
        ("float64", (5,)),
        ("object", (5,)),
        ("float32", (-5, -1)),
        ("float32", (5, 0)),
        ("float32", ()),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    make_segment: MakeSegment, dtype: str, shape: tuple[int, ...]
) -> None:
    segment = make_segment(1 << 20)
    tensor = write_tensor(Arena(segment, epoch=1), np.zeros(5, np.float32), holder=1)
    assert tensor is not None
    with pytest.raises(ProtocolError):
        read_tensor(ArenaReader(segment), TensorHandle(tensor.handle, dtype, shape))


def test_a_made_up_handle_is_refused(make_segment: MakeSegment) -> None:
    with pytest.raises(StaleHandle):
        read_tensor(ArenaReader(make_segment(1 << 20)), TensorHandle(Handle(1 << 40, 4, 1, 1), "float32", (1,)))
