"""A worker's pools: what it does with them in idle moments."""

import os

import pytest
from msgspec.structs import replace

from ipc.control_messages import PoolReady
from ipc.fake_card import fake_card
from ipc.kv_layout import kv_regions
from ipc.segments import Segment
from workers.fake_model import FakeModel
from workers.mapped_pools import PART_BYTES, MappedPools


@pytest.fixture
def faulted_in(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was faulted in, by start and length."""
    asked: list[tuple[int, int]] = []

    def fault_in(segment: Segment, start: int, length: int) -> bool:
        asked.append((start, length))
        return True

    monkeypatch.setattr(Segment, "fault_in", fault_in)
    return asked


def test_pools_are_faulted_in_part_by_part(faulted_in: list[tuple[int, int]]) -> None:
    card = replace(fake_card(0, "m", "fake:generate", 0, 16, 0), num_pages=40_000)
    size = kv_regions(card)[1]
    segment = Segment.create("test-kv", size)
    pools = MappedPools([card], {0: FakeModel(card, 4)})
    try:
        assert not pools.fault_in_next()  # no pool yet
        pools.open(PoolReady(3), [os.dup(segment.fd)])
        parts = 0
        while pools.fault_in_next():
            parts += 1
        assert faulted_in == [(start, PART_BYTES) for start in range(0, size, PART_BYTES)]
        assert parts == len(faulted_in) > 1
    finally:
        pools.close(3)
        segment.close()


def test_a_pool_that_is_gone_is_left_alone(faulted_in: list[tuple[int, int]]) -> None:
    card = replace(fake_card(0, "m", "fake:generate", 0, 16, 0), num_pages=40_000)
    segment = Segment.create("test-kv", kv_regions(card)[1])
    pools = MappedPools([card], {0: FakeModel(card, 4)})
    try:
        pools.open(PoolReady(3), [os.dup(segment.fd)])
        assert pools.fault_in_next()
        pools.close(3)
        assert not pools.fault_in_next()
    finally:
        segment.close()
    assert len(faulted_in) == 1
