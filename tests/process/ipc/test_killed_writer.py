"""What a process wrote before SIGKILL is there and intact; what it was writing is not there at all."""

from collections.abc import Callable

import pytest

from ipc.ring import RingReader, RingWriter, ring_bytes
from ipc.segments import Segment
from tests.support.children import Child
from tests.support.ipc_child import MESSAGE

NUM_SLOTS = 4
MakeSegment = Callable[[int], Segment]
StartChild = Callable[..., Child]


@pytest.mark.parametrize("num_messages", [0, 3, 4, 11])
def test_a_message_cut_short_is_invisible(
    make_segment: MakeSegment, start_child: StartChild, num_messages: int
) -> None:
    """Also where the torn slot was used before, on an earlier lap: 4 and 11 messages in 4 slots."""
    segment = make_segment(ring_bytes(NUM_SLOTS))
    reader = RingReader(segment.view, NUM_SLOTS)
    child = start_child("torn_writer", segment.fd, NUM_SLOTS, num_messages, fds=(segment.fd,))
    left_unread = min(num_messages, NUM_SLOTS - 1)
    seen = _take(reader, num_messages - left_unread)
    assert child.read_line() == "in the middle"
    child.kill()
    seen += _take(reader, left_unread)
    assert seen == [(number, MESSAGE % number) for number in range(num_messages)]
    assert reader.poll() is None

    successor = RingWriter(segment.view, NUM_SLOTS)
    assert successor.try_publish(99, b"next")
    assert _take(reader, 1) == [(99, b"next")]
    assert reader.poll() is None
    successor.close()
    reader.close()


def _take(reader: RingReader, count: int) -> list[tuple[int, bytes]]:
    """Spin until `count` messages came; the test's timeout is the deadline."""
    taken: list[tuple[int, bytes]] = []
    while len(taken) < count:
        if slot := reader.poll():
            taken.append((slot.kind, slot.payload))
    return taken


def test_a_segment_survives_its_writer(make_segment: MakeSegment, start_child: StartChild) -> None:
    segment = make_segment(1 << 20)
    child = start_child("filler", segment.fd, 0xA5, fds=(segment.fd,))
    assert child.read_line() == "filled"
    child.kill()
    assert segment.view == b"\xa5" * segment.size
