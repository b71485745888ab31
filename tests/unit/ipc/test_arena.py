"""The arena against a model: no overlap, aligned, stale handles refused, everything free in the end."""

from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from ipc.arena import GRANULE, HANDLE_BYTES, Arena, ArenaReader, Handle, StaleHandle
from ipc.errors import ProtocolError
from ipc.segments import Segment

WORD = (1 << 64) - 1


class ArenaMachine(RuleBasedStateMachine):
    """Lease, release and sweep at random; every block is filled with its lease's own byte."""

    live = Bundle("live")
    ended = Bundle("ended")

    @initialize(num_granules=st.integers(1, 40))
    def make(self, num_granules: int) -> None:
        self.segment = Segment.create("arena", num_granules * (GRANULE + 64) + GRANULE)
        self.arena = Arena(self.segment, epoch=5)
        self.reader = ArenaReader(self.segment)
        self.all_bytes = self.arena.num_free_bytes
        self.leases: dict[Handle, tuple[int, int]] = {}  # holder, fill byte

    @rule(target=live, size=st.integers(1, 40 * GRANULE), holder=st.integers(0, 3), fill=st.integers(1, 255))
    def lease(self, size: int, holder: int, fill: int) -> Handle:
        handle = self.arena.lease(size, holder)
        if handle is None:
            return multiple()  # type: ignore[return-value]  # hypothesis' word for "nothing into the bundle"
        assert handle.offset % 64 == 0
        assert handle.size == size
        view = self.arena.view(handle)
        assert len(view) == size
        view[:] = bytes([fill]) * size
        assert all(_disjoint(handle, other) for other in self.leases)
        self.leases[handle] = (holder, fill)
        return handle

    @rule(target=ended, handle=consumes(live))
    def release(self, handle: Handle) -> Handle:
        if handle in self.leases:  # not swept before
            self.arena.release(handle)
            del self.leases[handle]
        return handle

    @rule(holder=st.integers(0, 3))
    def sweep(self, holder: int) -> None:
        theirs = [handle for handle, (owner, _) in self.leases.items() if owner == holder]
        assert self.arena.sweep(holder) == len(theirs)
        for handle in theirs:
            del self.leases[handle]

    @rule(handle=ended)
    def ended_is_stale(self, handle: Handle) -> None:
        for use in (self.arena.view, self.arena.release, self.reader.view):
            with pytest.raises(StaleHandle):
                use(handle)
        assert not self.reader.is_current(handle)

    @rule(handle=live)
    def reader_sees(self, handle: Handle) -> None:
        if handle in self.leases:
            assert self.reader.view(handle) == self.arena.view(handle)
            assert self.reader.is_current(handle)
        else:
            with pytest.raises(StaleHandle):
                self.reader.view(handle)

    @invariant()
    def contents_are_intact(self) -> None:
        for handle, (_, fill) in getattr(self, "leases", {}).items():
            view = self.arena.view(handle)
            assert view[0] == view[handle.size // 2] == view[-1] == fill

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "arena"):
            assert self.arena.num_leases == len(self.leases)
            taken = sum(GRANULE << (-(-handle.size // GRANULE) - 1).bit_length() for handle in self.leases)
            assert self.arena.num_free_bytes == self.all_bytes - taken

    def teardown(self) -> None:
        if hasattr(self, "arena"):
            for holder in range(4):
                self.arena.sweep(holder)
            assert self.arena.num_leases == 0
            assert self.arena.num_free_bytes == self.all_bytes
            largest = GRANULE << (self.all_bytes // GRANULE).bit_length() - 1
            assert self.arena.lease(largest, 0) is not None, "free blocks were not merged again"
            self.segment.close()


def _disjoint(one: Handle, other: Handle) -> bool:
    return one.offset + one.size <= other.offset or other.offset + other.size <= one.offset


TestArenaMachine = ArenaMachine.TestCase
TestArenaMachine.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@pytest.fixture
def segment() -> Iterator[Segment]:
    made = Segment.create("arena", 64 * GRANULE)
    yield made
    made.close()


def test_a_successor_starts_free_and_refuses_the_old_handles(segment: Segment) -> None:
    old = Arena(segment, epoch=1)
    handle = old.lease(100, 0)
    assert handle is not None
    new = Arena(segment, epoch=2)
    again = new.lease(100, 0)
    assert again is not None
    assert again.offset == handle.offset
    reader = ArenaReader(segment)
    with pytest.raises(StaleHandle):
        reader.view(handle)
    assert len(reader.view(again)) == 100


def test_a_released_block_keeps_no_header_in_reach_of_data(segment: Segment) -> None:
    """A handle's header is not part of any block: no payload can make a stale handle look current."""
    arena = Arena(segment, epoch=1)
    small = arena.lease(GRANULE, 0)
    assert small is not None
    arena.release(small)
    large = arena.lease(32 * GRANULE, 0)
    assert large is not None
    words = arena.view(large).cast("Q")
    for index in range(0, len(words), 4):
        words[index : index + 4] = memoryview(small.pack()).cast("Q")
    with pytest.raises(StaleHandle):
        ArenaReader(segment).view(small)


@pytest.mark.parametrize("offset", [0, 64, GRANULE + 1, 64 * GRANULE, 1 << 63])
def test_offsets_outside_are_refused(segment: Segment, offset: int) -> None:
    with pytest.raises(StaleHandle):
        ArenaReader(segment).view(Handle(offset, 10, 1, 1))


def test_memory_no_allocator_touched_holds_no_lease(segment: Segment) -> None:
    with pytest.raises(StaleHandle):
        ArenaReader(segment).view(Handle(GRANULE, 0, 0, 0))


def test_full_is_none_and_never_waits(segment: Segment) -> None:
    arena = Arena(segment, epoch=1)
    assert arena.lease(segment.size, 0) is None
    handles = [arena.lease(1, 0) for _ in range(64)]
    assert handles[-1] is None
    assert handles[0] is not None
    arena.release(handles[0])
    assert arena.lease(1, 0) is not None


@pytest.mark.parametrize("size", [0, -5])
def test_a_lease_of_nothing_is_the_callers_mistake(segment: Segment, size: int) -> None:
    with pytest.raises(ValueError, match="lease of"):
        Arena(segment, epoch=1).lease(size, 0)


def test_a_segment_too_small_for_an_arena_is_refused() -> None:
    tiny = Segment.create("tiny", GRANULE)
    with pytest.raises(ProtocolError, match="too small"):
        Arena(tiny, epoch=1)
    tiny.close()


@pytest.mark.parametrize("size", range(2 * GRANULE, 70 * GRANULE, GRANULE - 1))
def test_headers_and_blocks_share_any_segment_without_overlap(size: int) -> None:
    segment = Segment.create("odd", size)
    arena = Arena(segment, epoch=1)
    handles = []
    while handle := arena.lease(GRANULE, 0):
        handles.append(handle)
    assert min(handle.offset for handle in handles) >= len(handles) * 64
    assert max(handle.offset for handle in handles) + GRANULE <= size
    assert size - len(handles) * (GRANULE + 64) < 2 * GRANULE + 64, "memory was wasted"
    segment.close()


def test_a_handle_is_32_bytes_on_the_wire() -> None:
    handle = Handle(GRANULE, WORD, 3, WORD - 1)
    assert len(handle.pack()) == HANDLE_BYTES == 32
    assert Handle.unpack(handle.pack()) == handle
    with pytest.raises(ProtocolError):
        Handle.unpack(b"short")
