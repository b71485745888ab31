"""What the other process does in the process tests of ipc: `python -m tests.support.ipc_child ROLE ARGUMENT...`."""

import asyncio
import sys
import time
from collections.abc import Callable

from ipc.arena import Handle
from ipc.control_link import ControlLink, LinkClosed
from ipc.control_messages import Linked, LinkWorker
from ipc.doorbell import Doorbell
from ipc.ring import RingWriter
from ipc.segments import Segment
from ipc.worker_link import SchedulerLink, StepTicket, WorkerLink
from ipc.zmq_link import DealerLink

MESSAGE = b"message %d " + b"." * 200


def _say(text: str) -> None:
    print(text, flush=True)


def _wait_for_line() -> str:
    line = sys.stdin.readline()
    if not line:
        sys.exit(1)  # the test is gone
    return line.strip()


class WriterThatStops(RingWriter):
    """Fault point: says so in the middle of its last message, body written, not committed; then waits to be killed."""

    last_kind = -1

    def _write_body(self, kind: int, payload: bytes) -> int:
        word = super()._write_body(kind, payload)
        if kind == self.last_kind:
            _say("in the middle")
            _wait_for_line()
        return word


def torn_writer(segment_fd: str, num_slots: str, num_messages: str) -> None:
    """Commit messages 0 to `num_messages` - 1 as far as there is room, and stop inside the next one."""
    writer = WriterThatStops(Segment.attach(int(segment_fd)).view, int(num_slots))
    writer.last_kind = int(num_messages)
    number = 0
    while number <= writer.last_kind:
        if writer.try_publish(number, MESSAGE % number):
            number += 1


def filler(segment_fd: str, byte: str) -> None:
    """Fill a segment and wait to be killed."""
    segment = Segment.attach(int(segment_fd))
    segment.view[:] = bytes([int(byte)]) * segment.size
    _say("filled")
    _wait_for_line()


def silent_scheduler(link_fd: str, epoch: str) -> None:
    """Submit a ticket for every line, ringing a doorbell nobody hears. The step id is the time of submission."""
    link = SchedulerLink(Segment.attach(int(link_fd)), int(epoch), Doorbell.create())
    _say("ready")
    while _wait_for_line():
        if not link.submit(StepTicket(time.monotonic_ns(), Handle(0, 0, 1, 1))):
            _say("full")


def worker(control_fd: str) -> None:
    """Take LinkWorker from the control link, then answer every ticket, until the supervisor is gone."""
    control = ControlLink.of_child(int(control_fd))
    received = control.receive(30.0)
    if received is None or not isinstance(received.record, LinkWorker):
        sys.exit(2)
    link_fd, own_bell, scheduler_bell = received.fds
    link = WorkerLink(Segment.attach(link_fd), received.record.epoch, Doorbell(own_bell), Doorbell(scheduler_bell))
    control.send(Linked(received.record.epoch))
    while True:
        if control.fileno() in link.wait(30.0, [control.fileno()]):
            try:
                control.poll()
            except LinkClosed:
                sys.exit(3)
        while ticket := link.poll():
            link.done(ticket)


def echoing_dealer(address: str, identity: str) -> None:
    """Send back every frame, after a first one of its own."""

    async def run() -> None:
        def echo(frame: bytes) -> None:
            link.send(frame)

        link = DealerLink(address, identity.encode(), echo)
        link.send(b"hello")
        await asyncio.Event().wait()

    asyncio.run(run())


ROLES: dict[str, Callable[..., None]] = {
    "torn_writer": torn_writer,
    "filler": filler,
    "silent_scheduler": silent_scheduler,
    "worker": worker,
    "echoing_dealer": echoing_dealer,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](*sys.argv[2:])
