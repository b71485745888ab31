"""Two processes on one link: a round trip through doorbells, and what a lost ring costs."""

import os
import select
import time
from collections.abc import Callable

from ipc.arena import Handle
from ipc.control_link import ControlLink
from ipc.control_messages import Linked, LinkWorker
from ipc.doorbell import Doorbell
from ipc.segments import Segment
from ipc.worker_link import LINK_BYTES, MAX_SLEEP_S, SchedulerLink, StepTicket, WorkerLink
from tests.support.children import Child

EPOCH = 5
MakeSegment = Callable[[int], Segment]
StartChild = Callable[..., Child]


def test_a_lost_doorbell_costs_one_bounded_sleep(make_segment: MakeSegment, start_child: StartChild) -> None:
    """The other side rings a bell nobody hears. Without the bound, the wait below would take its full 60 seconds."""
    segment = make_segment(LINK_BYTES)
    link = WorkerLink(Segment.attach(os.dup(segment.fd)), EPOCH, Doorbell.create(), Doorbell.create())
    child = start_child("silent_scheduler", segment.fd, EPOCH, fds=(segment.fd,))
    assert child.read_line() == "ready"
    late_s = []
    for _ in range(20):
        child.write_line("submit")
        assert link.wait(60.0, []) == []
        ticket = link.poll()
        assert ticket is not None
        late_s.append((time.monotonic_ns() - ticket.step_id) / 1e9)
    link.close()
    assert min(late_s) <= MAX_SLEEP_S + 0.005
    assert max(late_s) < 1.0, "a busy machine may add to the 20 ms, but not seconds"


def test_steps_go_round_between_two_processes(make_segment: MakeSegment, start_child: StartChild) -> None:
    """Descriptors over the control link, tickets and reports over the rings, sleeping on doorbells on both sides."""
    segment = make_segment(LINK_BYTES)
    worker_bell, own_bell = Doorbell.create(), Doorbell.create()
    control, child_fd = ControlLink.pair()
    child = start_child("worker", child_fd, fds=(child_fd,))
    os.close(child_fd)
    control.send(LinkWorker(EPOCH), [segment.fd, worker_bell.fileno(), own_bell.fileno()])
    received = control.receive(30.0)
    assert received is not None
    assert received.record == Linked(EPOCH)

    link = SchedulerLink(Segment.attach(os.dup(segment.fd)), EPOCH, worker_bell)
    for step_id in range(500):
        ticket = StepTicket(step_id, Handle(0, 1, 1, EPOCH))
        assert link.submit(ticket)
        assert _next_report(link, own_bell) == ticket
    control.close()
    assert child.wait() == 3, "a worker whose supervisor is gone leaves by itself"
    link.close()
    own_bell.close()


def _next_report(link: SchedulerLink, bell: Doorbell) -> StepTicket:
    while (report := link.poll()) is None:
        link.begin_wait()
        if not link.has_report():
            assert select.select([bell], [], [], 10.0)[0], "no bell although the reader said it sleeps"
            bell.clear()
        link.end_wait()
    return report.ticket
