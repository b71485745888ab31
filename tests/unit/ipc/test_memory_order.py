"""The ring on a machine that reorders: fences are called, and the doorbell is always rung."""

import ctypes

import pytest

from ipc import memory_order, ring
from ipc.ring import RingReader, RingWriter, Slot, ring_bytes


@pytest.fixture
def _weakly_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_order, "STRONGLY_ORDERED", False)
    monkeypatch.setattr(ring, "STRONGLY_ORDERED", False)


def _no_libatomic(name: str) -> ctypes.PyDLL:
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.usefixtures("_weakly_ordered")
@pytest.mark.parametrize("has_libatomic", [True, False])
def test_the_ring_works_and_always_rings(monkeypatch: pytest.MonkeyPatch, has_libatomic: bool) -> None:
    if not has_libatomic:
        monkeypatch.setattr(ctypes, "PyDLL", _no_libatomic)
    memory = memoryview(bytearray(ring_bytes(2)))
    writer, reader = RingWriter(memory, 2), RingReader(memory, 2)
    for number in range(5):
        assert writer.try_publish(number, b"x")
        assert writer.reader_waits()
        assert reader.poll() == Slot(number, b"x")
    reader.begin_wait()
    reader.end_wait()


def test_fences_can_be_called_on_this_machine() -> None:
    memory_order.full_fence()()
