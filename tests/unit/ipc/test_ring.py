"""The ring against a queue in plain Python, under random interleavings of both ends."""

from collections import deque

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ipc.errors import ProtocolError
from ipc.ring import LINE, SLOT_BYTES, SLOT_PAYLOAD, RingReader, RingWriter, Slot, ring_bytes

KINDS = st.integers(0, (1 << 32) - 1)
PAYLOADS = st.binary(max_size=64) | st.binary(min_size=SLOT_PAYLOAD - 2, max_size=SLOT_PAYLOAD)


def _memory(num_slots: int) -> memoryview:
    return memoryview(bytearray(ring_bytes(num_slots)))


class TornWriter(RingWriter):
    """A writer that dies in the middle."""

    def tear(self, kind: int, payload: bytes) -> None:
        if self._has_room():
            self._write_body(kind, payload)


class RingMachine(RuleBasedStateMachine):
    """Publish, poll, torn writes, and successors of either end, in any order: the ring is a bounded queue."""

    @initialize(num_slots=st.integers(1, 7))
    def make(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.memory = _memory(num_slots)
        self.writer = TornWriter(self.memory, num_slots)
        self.reader = RingReader(self.memory, num_slots)
        self.queue: deque[Slot] = deque()

    @rule(kind=KINDS, payload=PAYLOADS)
    def publish(self, kind: int, payload: bytes) -> None:
        fits = len(self.queue) < self.num_slots
        assert self.writer.try_publish(kind, payload) is fits
        if fits:
            self.queue.append(Slot(kind, payload))

    @rule(kind=KINDS, payload=PAYLOADS)
    def tear(self, kind: int, payload: bytes) -> None:
        self.writer.tear(kind, payload)
        self.writer = TornWriter(self.memory, self.num_slots)

    @rule()
    def poll(self) -> None:
        assert self.reader.poll() == (self.queue.popleft() if self.queue else None)

    @rule()
    def drain(self) -> None:
        while self.queue:
            self.poll()
        self.poll()

    @rule()
    def replace_reader(self) -> None:
        self.reader = RingReader(self.memory, self.num_slots)

    @rule(waits=st.booleans())
    def wait(self, waits: bool) -> None:
        if waits:
            self.reader.begin_wait()
        else:
            self.reader.end_wait()
        assert self.writer.reader_waits() is waits

    @invariant()
    def sees_what_is_there(self) -> None:
        if hasattr(self, "reader"):
            assert self.reader.has_next() is bool(self.queue)


TestRingMachine = RingMachine.TestCase
TestRingMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_million_messages_fit_one_after_the_other() -> None:
    """Indexes only go up; nothing wraps but the slots."""
    memory = _memory(3)
    writer, reader = RingWriter(memory, 3), RingReader(memory, 3)
    for number in range(20_000):
        assert writer.try_publish(number, number.to_bytes(8, "little"))
        assert reader.poll() == Slot(number, number.to_bytes(8, "little"))


def test_a_full_ring_refuses_until_one_is_taken() -> None:
    memory = _memory(4)
    writer, reader = RingWriter(memory, 4), RingReader(memory, 4)
    assert [writer.try_publish(n, b"") for n in range(5)] == [True] * 4 + [False]
    assert reader.poll() == Slot(0, b"")
    assert writer.try_publish(4, b"")
    assert not writer.try_publish(5, b"")
    assert [slot.kind for _ in range(4) if (slot := reader.poll())] == [1, 2, 3, 4]


def test_too_long_a_payload_is_refused() -> None:
    writer = RingWriter(_memory(2), 2)
    with pytest.raises(ProtocolError, match="holds"):
        writer.try_publish(1, bytes(SLOT_PAYLOAD + 1))


@pytest.mark.parametrize(("size", "num_slots"), [(ring_bytes(2) - 1, 2), (ring_bytes(2), 3), (4096, 0)])
def test_too_little_memory_is_refused(size: int, num_slots: int) -> None:
    with pytest.raises(ProtocolError):
        RingWriter(memoryview(bytearray(size)), num_slots)


def test_both_ends_must_agree_on_the_slots() -> None:
    memory = _memory(4)
    RingWriter(memory, 4)
    with pytest.raises(ProtocolError):
        RingReader(memory, 3)


def test_foreign_memory_is_no_ring() -> None:
    with pytest.raises(ProtocolError):
        RingReader(memoryview(bytearray(b"\x55" * ring_bytes(2))), 2)


def test_a_slot_written_over_is_noticed() -> None:
    memory = _memory(2)
    reader = RingReader(memory, 2)
    memory[3 * LINE : 3 * LINE + 8].cast("Q")[0] = 3
    with pytest.raises(ProtocolError, match="written over"):
        reader.poll()


def test_an_impossible_length_is_noticed() -> None:
    memory = _memory(2)
    writer, reader = RingWriter(memory, 2), RingReader(memory, 2)
    writer.try_publish(1, b"x")
    memory[3 * LINE + 8 : 3 * LINE + 16].cast("Q")[0] = SLOT_PAYLOAD + 1
    with pytest.raises(ProtocolError, match="says it holds"):
        reader.poll()


def test_rings_can_lie_one_after_the_other() -> None:
    assert ring_bytes(5) % LINE == 0
    assert ring_bytes(6) - ring_bytes(5) == SLOT_BYTES
