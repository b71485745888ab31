"""Our own transport in `benchmarks/ipc.py`: rings, an arena and doorbells."""

import os
import select

from benchmarks.ipc_endpoint import Endpoint, Side, look_at
from ipc.arena import Arena, ArenaReader, Handle
from ipc.doorbell import Doorbell
from ipc.ring import SLOT_PAYLOAD, RingReader, RingWriter, ring_bytes
from ipc.segments import Segment


class RingTransport:
    """Ours: a ring each way, payloads that do not fit a slot in an arena each way, a doorbell each.

    Blocks are given back with the peer's next message, so all of a window lie in different memory.
    """

    in_place = False

    def __init__(self, size: int, window: int, spins: bool) -> None:
        self.num_slots = 2 * window
        self.spins = spins
        self.rings = [Segment.create("ring", ring_bytes(self.num_slots)) for _ in range(2)]
        self.arenas = [Segment.create("arena", int((window + 1) * max(size, 4096) * 1.05) + 65536) for _ in range(2)]
        self.bells = [Doorbell.create() for _ in range(2)]

    def endpoint(self, side: Side) -> Endpoint:
        return RingEndpoint(self, side)

    def close(self) -> None:
        owners: list[Segment | Doorbell] = [*self.rings, *self.arenas, *self.bells]
        for owner in owners:
            owner.close()


class RingInPlace(RingTransport):
    """The same, with the payload made where it is read, as step plans are: no copy at all."""

    in_place = True


class RingEndpoint:
    def __init__(self, shared: RingTransport, side: Side) -> None:
        peer = 1 - side
        self._writer = RingWriter(shared.rings[side].view, shared.num_slots)
        self._reader = RingReader(shared.rings[peer].view, shared.num_slots)
        self._arena = Arena(shared.arenas[side], epoch=1)
        self._peers_arena = ArenaReader(shared.arenas[peer])
        self._own_bell, self._peers_bell = shared.bells[side], shared.bells[peer]
        self._spins, self._in_place = shared.spins, shared.in_place
        self._leases: list[Handle] = []
        self._poll = select.poll()
        self._poll.register(self._own_bell, select.POLLIN)

    def send(self, payload: bytes) -> None:
        if len(payload) <= SLOT_PAYLOAD:
            self._writer.try_publish(1, payload)
        else:
            handle = self._arena.lease(len(payload), holder=1)
            if handle is None:
                raise MemoryError("the benchmark's arena is too small for its window")
            view = self._arena.view(handle)
            if self._in_place:
                view[0] = view[-1] = 1
            else:
                view[:] = payload
            self._leases.append(handle)
            self._writer.try_publish(2, handle.pack())
        if self._writer.reader_waits():
            self._peers_bell.ring()

    def receive(self) -> int:
        while (slot := self._reader.poll()) is None:
            self._pause()
        for handle in self._leases:  # the peer has answered, so it has read them
            self._arena.release(handle)
        self._leases.clear()
        return look_at(slot.payload if slot.kind == 1 else self._peers_arena.view(Handle.unpack(slot.payload)))

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def _pause(self) -> None:
        if self._spins:
            os.sched_yield()
            return
        self._reader.begin_wait()
        if not self._reader.has_next():
            self._poll.poll(20)
            self._own_bell.clear()
        self._reader.end_wait()
