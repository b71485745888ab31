"""The link between the scheduler and one worker: a ring each way in one segment, and who rings whose doorbell.

    | epoch + 1 | ring of tickets, scheduler to worker | ring of reports, worker to scheduler |

The segment belongs to one epoch, named by the end that comes first (0: none yet). Whoever fences that epoch off writes
another one; from then on both ends raise FencedError instead of publishing or reading: a zombie publishes nothing. The
tickets' blocks are in the scheduler's arena, which this module does not touch.
"""

import select
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from ipc.arena import HANDLE_BYTES, Handle
from ipc.doorbell import Doorbell
from ipc.errors import ProtocolError, ZerolaneError
from ipc.ring import LINE, SLOT_PAYLOAD, RingReader, RingWriter, Slot, ring_bytes
from ipc.segments import Segment
from ipc.step_layout import RingKind

NUM_SLOTS = 64  # of each ring: far more than the steps ever in flight on one worker
LINK_BYTES = LINE + 2 * ring_bytes(NUM_SLOTS)
MAX_SLEEP_S = 0.020  # a doorbell that was lost costs at most this
_STEP_ID = struct.Struct("<Q")
_TICKET_BYTES = _STEP_ID.size + HANDLE_BYTES


class FencedError(ZerolaneError):
    """The link belongs to another epoch: whoever is told this must not touch it again."""


class StepTicket(NamedTuple):
    """A step to run or a step that has run: its plan and results are in the arena block `handle`."""

    step_id: int
    handle: Handle


class WorkerReport(NamedTuple):
    """What a worker says of a step: STEP_DONE, or STEP_FAILED with a text for the log."""

    kind: RingKind
    ticket: StepTicket
    text: str


def fence(segment: Segment, epoch: int) -> None:
    """Make the link belong to `epoch`: ends made for another one raise FencedError from now on."""
    segment.view[:8].cast("Q")[0] = epoch + 1


class _LinkEnd:
    """What both ends share: the epoch check and the two rings' places."""

    def __init__(self, segment: Segment, epoch: int) -> None:
        if segment.size < LINK_BYTES:
            raise ProtocolError(f"a link needs {LINK_BYTES} bytes, not {segment.size}")
        self._segment = segment
        self._epoch = epoch
        self._header = segment.view[:8].cast("Q")
        if self._header[0] == 0:
            self._header[0] = epoch + 1
        middle = LINE + ring_bytes(NUM_SLOTS)
        self._tickets = segment.view[LINE:middle]
        self._reports = segment.view[middle:LINK_BYTES]
        self._check_epoch()

    def _close(self, *owned: Doorbell | RingWriter | RingReader) -> None:
        for part in owned:
            part.close()
        for view in (self._header, self._tickets, self._reports):
            view.release()
        self._segment.close()

    def _check_epoch(self) -> None:
        if self._header[0] != self._epoch + 1:
            raise FencedError(f"this link belongs to epoch {self._header[0] - 1}, not {self._epoch}")


class SchedulerLink(_LinkEnd):
    """The scheduler's end. Its own doorbell serves all its links; it polls them all after a ring."""

    def __init__(self, segment: Segment, epoch: int, worker_doorbell: Doorbell) -> None:
        """Takes over both; `close` closes them. Raises FencedError when the link is another epoch's."""
        super().__init__(segment, epoch)
        self._worker_doorbell = worker_doorbell
        self._writer = RingWriter(self._tickets, NUM_SLOTS)
        self._reader = RingReader(self._reports, NUM_SLOTS)
        self._num_unreported = 0

    def submit(self, ticket: StepTicket) -> bool:
        """Give the worker a step; False: too many steps without a report (so its ring of reports never fills up)."""
        self._check_epoch()
        if self._num_unreported >= NUM_SLOTS or not self._writer.try_publish(RingKind.STEP, _pack(ticket)):
            return False
        self._num_unreported += 1
        if self._writer.reader_waits():
            self._worker_doorbell.ring()
        return True

    def poll(self) -> WorkerReport | None:
        """The next report, in the order of the steps; None: none yet. Raises FencedError, ProtocolError."""
        self._check_epoch()
        slot = self._reader.poll()
        if slot is None:
            return None
        self._num_unreported -= 1
        if slot.kind not in (RingKind.STEP_DONE, RingKind.STEP_FAILED):
            raise ProtocolError(f"a worker's report has kind {slot.kind}")
        return WorkerReport(RingKind(slot.kind), _unpack(slot), slot.payload[_TICKET_BYTES:].decode(errors="replace"))

    def begin_wait(self) -> None:
        """Before the scheduler sleeps on its doorbell; `has_report` must be asked once more in between."""
        self._reader.begin_wait()

    def has_report(self) -> bool:
        """A report can be polled."""
        return self._reader.has_next()

    def end_wait(self) -> None:
        """After the sleep: reports ring no bell any more."""
        self._reader.end_wait()

    def close(self) -> None:
        """Twice is fine."""
        self._close(self._writer, self._reader, self._worker_doorbell)


class WorkerLink(_LinkEnd):
    """The worker's end."""

    def __init__(self, segment: Segment, epoch: int, own_doorbell: Doorbell, scheduler_doorbell: Doorbell) -> None:
        """Takes over all three; `close` closes them. Raises FencedError when the link is another epoch's."""
        super().__init__(segment, epoch)
        self._own_doorbell = own_doorbell
        self._scheduler_doorbell = scheduler_doorbell
        self._reader = RingReader(self._tickets, NUM_SLOTS)
        self._writer = RingWriter(self._reports, NUM_SLOTS)

    def poll(self) -> StepTicket | None:
        """The next step to run; None: none yet. Raises FencedError, ProtocolError."""
        self._check_epoch()
        slot = self._reader.poll()
        if slot is None:
            return None
        if slot.kind != RingKind.STEP:
            raise ProtocolError(f"a step's ticket has kind {slot.kind}")
        return _unpack(slot)

    def done(self, ticket: StepTicket) -> None:
        """The step's results are in its block. Raises FencedError: then nothing was published."""
        self._report(RingKind.STEP_DONE, _pack(ticket))

    def failed(self, ticket: StepTicket, text: str) -> None:
        """The step as a whole failed; `text` is cut to what a slot holds. Raises FencedError: nothing was published."""
        room = SLOT_PAYLOAD - _TICKET_BYTES
        self._report(RingKind.STEP_FAILED, _pack(ticket) + text.encode(errors="replace")[:room])

    def wait(self, timeout_s: float, extra_fds: Sequence[int] = ()) -> list[int]:
        """Sleep until a ticket is there, one of `extra_fds` is readable or at its end, or `timeout_s` is over.

        Returns the ready ones of `extra_fds`; each sleep inside is at most MAX_SLEEP_S. Raises FencedError.
        """
        deadline = time.monotonic() + timeout_s
        poller = select.poll()
        for fd in (self._own_doorbell.fileno(), *extra_fds):
            poller.register(fd, select.POLLIN)
        self._reader.begin_wait()
        try:
            while True:
                self._check_epoch()
                left_s = max(0.0, deadline - time.monotonic())
                nap_s = 0.0 if self._reader.has_next() else min(left_s, MAX_SLEEP_S)
                ready = [fd for fd, _ in poller.poll(nap_s * 1000)]
                self._own_doorbell.clear()
                ready_extra = [fd for fd in ready if fd in extra_fds]
                if ready_extra or left_s == 0 or self._reader.has_next():
                    return ready_extra
        finally:
            self._reader.end_wait()

    def close(self) -> None:
        """Twice is fine."""
        self._close(self._writer, self._reader, self._own_doorbell, self._scheduler_doorbell)

    def _report(self, kind: RingKind, payload: bytes) -> None:
        self._check_epoch()
        if not self._writer.try_publish(kind, payload):
            raise ProtocolError("the ring of reports is full although every report answers a ticket")
        if self._writer.reader_waits():
            self._scheduler_doorbell.ring()


def _pack(ticket: StepTicket) -> bytes:
    return _STEP_ID.pack(ticket.step_id) + ticket.handle.pack()


def _unpack(slot: Slot) -> StepTicket:
    payload = slot.payload
    if len(payload) < _TICKET_BYTES:
        raise ProtocolError(f"a ticket of {len(payload)} bytes")
    return StepTicket(_STEP_ID.unpack_from(payload)[0], Handle.unpack(payload[_STEP_ID.size : _TICKET_BYTES]))
