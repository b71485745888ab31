"""Plans and results in one block: every column is its own memory, and what is no plan is refused."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings

from ipc.errors import ProtocolError
from ipc.step_layout import (
    ALIGNMENT,
    HEADER_WORDS,
    StepColumns,
    StepHeader,
    StepKind,
    StepShape,
    read_columns,
    step_bytes,
    write_header,
)

SHAPES = st.builds(
    StepShape,
    kind=st.sampled_from(StepKind),
    num_rows=st.integers(0, 20),
    num_tokens=st.integers(0, 200),
    table_width=st.integers(0, 10),
    num_labels=st.integers(0, 3),
)


def _arrays(columns: StepColumns) -> dict[str, npt.NDArray[Any]]:
    return {name: getattr(columns, name) for name in StepColumns.__annotations__ if name != "header"}


@given(shape=SHAPES, extra=st.integers(0, 100))
@settings(max_examples=300, deadline=None)
def test_what_one_side_writes_the_other_reads(shape: StepShape, extra: int) -> None:
    block = memoryview(bytearray(step_bytes(shape) + extra))
    header = StepHeader(step_id=9, model=1, epoch=4, shape=shape)
    written = _arrays(write_header(block, header))
    for number, array in enumerate(written.values(), start=1):
        array[...] = number  # a column that overlapped another one would be overwritten here
    read = read_columns(block)
    assert read.header == header
    for number, (name, array) in enumerate(_arrays(read).items(), start=1):
        assert array.shape == written[name].shape
        assert (array == number).all(), f"{name} shares memory with another column"


@given(shape=SHAPES)
@settings(max_examples=100, deadline=None)
def test_columns_start_on_cache_lines(shape: StepShape) -> None:
    block = memoryview(bytearray(step_bytes(shape)))
    start = np.frombuffer(block, np.uint8).ctypes.data
    for array in _arrays(write_header(block, StepHeader(1, 0, 1, shape))).values():
        if array.size:
            assert (array.ctypes.data - start) % ALIGNMENT == 0


def test_too_small_a_block_is_refused_by_both_sides() -> None:
    shape = StepShape(StepKind.GENERATE, 4, 10, 3)
    block = memoryview(bytearray(step_bytes(shape)))
    write_header(block, StepHeader(1, 0, 1, shape))
    with pytest.raises(ProtocolError, match="does not fit"):
        write_header(block[:-1], StepHeader(1, 0, 1, shape))
    with pytest.raises(ProtocolError, match="longer than"):
        read_columns(block[:-1])


@pytest.mark.parametrize(("word", "value"), [(0, 0), (4, 3), (5, -1), (6, -1), (8, -1), (5, 1 << 40)])
def test_a_damaged_header_is_refused(word: int, value: int) -> None:
    shape = StepShape(StepKind.SCORE, 4, 10, num_labels=1)
    block = memoryview(bytearray(step_bytes(shape)))
    write_header(block, StepHeader(1, 0, 1, shape))
    np.frombuffer(block, np.int64)[word] = value
    with pytest.raises(ProtocolError):
        read_columns(block)


def test_random_memory_is_no_step() -> None:
    for size in (0, HEADER_WORDS * 8 - 1, 4096):
        with pytest.raises(ProtocolError):
            read_columns(memoryview(np.random.default_rng(0).bytes(size)))
