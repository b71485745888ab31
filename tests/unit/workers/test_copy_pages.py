"""COPY steps move whole pages, of every layer, and refuse pages that are not there."""

import numpy as np
import pytest
from msgspec.structs import replace

from ipc.errors import ProtocolError
from ipc.fake_card import fake_card
from ipc.kv_layout import kv_regions
from ipc.step_layout import StepColumns, StepHeader, StepKind, StepShape, step_bytes, write_header
from workers.copy_pages import page_copies
from workers.fake_model import FakeModel

CARD = replace(fake_card(0, "fake", "fake:generate", 0, block_size=4, created=0), num_pages=10)


def copy_columns(source: list[int], target: list[int], from_pool: int = 0, to_pool: int = 1) -> StepColumns:
    shape = StepShape(StepKind.COPY, len(source), 0)
    block = memoryview(bytearray(step_bytes(shape)))
    columns = write_header(block, StepHeader(1, 0, 1, shape, to_pool, from_pool))
    columns.source_page[:] = source
    columns.target_page[:] = target
    columns.row_status[:] = 1
    return columns


def test_the_fake_models_pages_move() -> None:
    size = kv_regions(CARD)[1]
    pools = [np.arange(size // 8, dtype=np.uint64), np.zeros(size // 8, np.uint64)]
    model = FakeModel(CARD, 1)
    for pool, memory in enumerate(pools):
        model.use_pool(pool, memory.data.cast("B"))
    columns = copy_columns([3, 9], [0, 2])
    model.run(columns)
    first, second = (memory[:40].reshape(10, 4) for memory in pools)
    assert second[0].tolist() == first[3].tolist() == [12, 13, 14, 15]
    assert second[2].tolist() == first[9].tolist()
    assert not second[[1, 3, 4, 5, 6, 7, 8, 9]].any()
    assert columns.row_status.tolist() == [0, 0]


@pytest.mark.parametrize(("source", "target"), [([10], [0]), ([0], [10]), ([-1], [0]), ([0], [-1]), ([], [])])
def test_pages_that_are_not_there_are_refused(source: list[int], target: list[int]) -> None:
    with pytest.raises(ProtocolError, match="pages within the pool of 10"):
        page_copies(copy_columns(source, target), 10)


def test_a_pool_that_is_not_mapped_is_refused() -> None:
    model = FakeModel(CARD, 1)
    model.use_pool(0, memoryview(bytearray(kv_regions(CARD)[1])))
    with pytest.raises(ProtocolError, match="no pool 1"):
        model.run(copy_columns([0], [0]))
    model.drop_pool(0)
    with pytest.raises(ProtocolError, match="no pool 0"):
        model.run(copy_columns([0], [0], to_pool=0))
