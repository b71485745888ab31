"""A single-producer single-consumer ring of small messages in shared memory.

    | magic, slots | tail | reader waits | slot 0 | slot 1 | ...        the first three are a 64-byte line each
      slot: seq u64 | kind u32, length u32 | payload, SLOT_PAYLOAD bytes

The message with index n lies in slot n % num_slots and is committed by writing seq = n + 1, last. The reader looks at
its next slot's seq only, so a writer killed in the middle of a write leaves nothing visible. `tail` counts what the
reader has taken; the writer never passes it (back-pressure: a full ring refuses). Zeroed memory is an empty ring.

Waking a sleeping reader is not done here: the writer asks `reader_waits` after publishing and rings a doorbell.
"""

from typing import NamedTuple

from ipc import fault_points
from ipc.errors import ProtocolError
from ipc.memory_order import STRONGLY_ORDERED, full_fence

LINE = 64
SLOT_BYTES = 512
SLOT_HEADER = 16
SLOT_PAYLOAD = SLOT_BYTES - SLOT_HEADER
MAGIC = 0x5A4C_5249_4E47_0001  # "ZLRING", layout version 1

# Indexes into the ring as 8-byte words.
_MAGIC, _NUM_SLOTS, _TAIL, _WAITING, _FIRST_SLOT = 0, 1, LINE // 8, 2 * LINE // 8, 3 * LINE // 8
_SLOT_WORDS = SLOT_BYTES // 8


class Slot(NamedTuple):
    """One message, copied out of the ring."""

    kind: int
    payload: bytes


def ring_bytes(num_slots: int) -> int:
    """Bytes of shared memory a ring takes; a multiple of a cache line."""
    return 3 * LINE + num_slots * SLOT_BYTES


def _words_of(view: memoryview, num_slots: int) -> memoryview:
    if num_slots < 1 or len(view) < ring_bytes(num_slots):
        raise ProtocolError(f"{len(view)} bytes do not hold a ring of {num_slots} slots")
    words = view[: ring_bytes(num_slots)].cast("Q")  # aligned 8-byte stores are never seen half written
    if words[_MAGIC] not in (0, MAGIC) or words[_NUM_SLOTS] not in (0, num_slots):
        raise ProtocolError(f"the memory does not hold a ring of {num_slots} slots")
    return words


class RingWriter:
    """The one writer. Made on a used ring it goes on after the last committed message."""

    def __init__(self, view: memoryview, num_slots: int) -> None:
        """`view` starts on 8 bytes and must outlive the ring. Raises ProtocolError when it holds something else."""
        self._words = _words_of(view, num_slots)
        self._bytes = view
        self._num_slots = num_slots
        self._fence = full_fence()
        self._words[_NUM_SLOTS] = num_slots
        self._words[_MAGIC] = MAGIC
        self._head = max(self._words[_FIRST_SLOT + slot * _SLOT_WORDS] for slot in range(num_slots))
        self._tail = self._words[_TAIL]  # the reader's, as last seen

    def try_publish(self, kind: int, payload: bytes) -> bool:
        """Append one message; False: the ring is full. `payload` is at most SLOT_PAYLOAD bytes, `kind` 32 bits."""
        if not self._has_room():
            return False
        word = self._write_body(kind, payload)
        if not STRONGLY_ORDERED:
            self._fence()  # the body must be visible before its seq; x86 keeps the order of stores by itself
        fault_points.reach("ring.written")
        self._head += 1
        self._words[word] = self._head
        return True

    def reader_waits(self) -> bool:
        """Asked after publishing: does the reader sleep, so that its doorbell must be rung?"""
        if not STRONGLY_ORDERED:
            return True
        self._fence()  # our seq must be out before we look, as the reader's flag is out before it looks at the seq
        return self._words[_WAITING] != 0

    def close(self) -> None:
        """Let go of the memory; the ring must not be used after it."""
        self._words.release()

    def _has_room(self) -> bool:
        if self._head - self._tail >= self._num_slots:
            self._tail = self._words[_TAIL]
        return self._head - self._tail < self._num_slots

    def _write_body(self, kind: int, payload: bytes) -> int:
        """Fill the next slot, not committing it; the index of its seq word."""
        length = len(payload)
        if length > SLOT_PAYLOAD:
            raise ProtocolError(f"a ring slot holds {SLOT_PAYLOAD} bytes, not {length}")
        word = _FIRST_SLOT + self._head % self._num_slots * _SLOT_WORDS
        self._words[word + 1] = kind << 32 | length
        start = word * 8 + SLOT_HEADER
        self._bytes[start : start + length] = payload
        return word


class RingReader:
    """The one reader. Made on a used ring it goes on after the last message taken."""

    def __init__(self, view: memoryview, num_slots: int) -> None:
        """`view` starts on 8 bytes and must outlive the ring. Raises ProtocolError when it holds something else."""
        self._words = _words_of(view, num_slots)
        self._bytes = view
        self._num_slots = num_slots
        self._fence = full_fence()
        self._tail = self._words[_TAIL]

    def has_next(self) -> bool:
        """A committed message can be polled. Raises ProtocolError when the slot belongs to the future."""
        seq = self._words[_FIRST_SLOT + self._tail % self._num_slots * _SLOT_WORDS]
        if seq > self._tail + 1:
            raise ProtocolError(f"ring slot {self._tail} holds message {seq - 1}: it was written over")
        return seq == self._tail + 1

    def poll(self) -> Slot | None:
        """Take the next message; None: there is none yet. Raises ProtocolError for a slot that holds no message."""
        if not self.has_next():
            return None
        if not STRONGLY_ORDERED:
            self._fence()  # the body must be read after its seq; x86 keeps the order of loads by itself
        word = _FIRST_SLOT + self._tail % self._num_slots * _SLOT_WORDS
        head = self._words[word + 1]
        length = head & 0xFFFF_FFFF
        if length > SLOT_PAYLOAD:
            raise ProtocolError(f"ring slot {self._tail} says it holds {length} bytes")
        start = word * 8 + SLOT_HEADER
        slot = Slot(head >> 32, bytes(self._bytes[start : start + length]))
        if not STRONGLY_ORDERED:
            self._fence()  # and before the slot is given back
        self._tail += 1
        self._words[_TAIL] = self._tail
        return slot

    def begin_wait(self) -> None:
        """Announce a sleep. Look at `has_next` once more before sleeping: what came earlier rings no bell."""
        self._words[_WAITING] = 1
        self._fence()

    def end_wait(self) -> None:
        """Awake again: no bell needed."""
        self._words[_WAITING] = 0

    def close(self) -> None:
        """Let go of the memory; the ring must not be used after it."""
        self._words.release()
