"""Both ends of a worker's link in one process: order, fencing, bounds, and who rings whom."""

import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ipc.arena import Handle
from ipc.doorbell import Doorbell
from ipc.errors import ProtocolError
from ipc.ring import SLOT_PAYLOAD
from ipc.segments import Segment
from ipc.step_layout import RingKind
from ipc.worker_link import (
    LINK_BYTES,
    NUM_SLOTS,
    FencedError,
    SchedulerLink,
    StepTicket,
    WorkerLink,
    WorkerReport,
    fence,
)

EPOCH = 3


def _ticket(step_id: int) -> StepTicket:
    return StepTicket(step_id, Handle(4096 * step_id, 100, 1, EPOCH))


@dataclass
class Ends:
    segment: Segment
    scheduler: SchedulerLink
    worker: WorkerLink
    worker_bell: Doorbell
    scheduler_bell: Doorbell


def _same_bell(bell: Doorbell) -> Doorbell:
    return Doorbell(os.dup(bell.fileno()))


@pytest.fixture
def ends(make_segment: Callable[[int], Segment]) -> Iterator[Ends]:
    segment = make_segment(LINK_BYTES)
    worker_bell, scheduler_bell = Doorbell.create(), Doorbell.create()
    made = Ends(
        segment,
        SchedulerLink(Segment.attach(os.dup(segment.fd)), EPOCH, _same_bell(worker_bell)),
        WorkerLink(Segment.attach(os.dup(segment.fd)), EPOCH, _same_bell(worker_bell), _same_bell(scheduler_bell)),
        worker_bell,
        scheduler_bell,
    )
    yield made
    for owner in (made.scheduler, made.worker, worker_bell, scheduler_bell):
        owner.close()
        owner.close()


def _is_rung(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_tickets_go_out_and_reports_come_back_in_order(ends: Ends) -> None:
    for step_id in (1, 2, 3):
        assert ends.scheduler.submit(_ticket(step_id))
    assert [ends.worker.poll() for _ in range(4)] == [_ticket(1), _ticket(2), _ticket(3), None]
    ends.worker.done(_ticket(1))
    ends.worker.failed(_ticket(2), "boom: ü")
    assert ends.scheduler.has_report()
    assert ends.scheduler.poll() == WorkerReport(RingKind.STEP_DONE, _ticket(1), "")
    assert ends.scheduler.poll() == WorkerReport(RingKind.STEP_FAILED, _ticket(2), "boom: ü")
    assert ends.scheduler.poll() is None
    assert not ends.scheduler.has_report()


def test_a_long_failure_text_is_cut(ends: Ends) -> None:
    ends.scheduler.submit(_ticket(1))
    ends.worker.failed(_ticket(1), "ü" * SLOT_PAYLOAD)
    report = ends.scheduler.poll()
    assert report is not None
    assert 0 < len(report.text.encode()) <= SLOT_PAYLOAD
    assert set(report.text) <= {"ü", "�"}


def test_steps_without_a_report_are_bounded(ends: Ends) -> None:
    """So the ring of reports can never be full, and a worker never has to wait to report."""
    accepted = 0
    while ends.scheduler.submit(_ticket(accepted)):
        accepted += 1
        ends.worker.poll()
    assert accepted == NUM_SLOTS
    for step_id in range(accepted):
        ends.worker.done(_ticket(step_id))
    assert not ends.scheduler.submit(_ticket(accepted))
    assert ends.scheduler.poll() is not None
    assert ends.scheduler.submit(_ticket(accepted))


def test_bells_ring_only_for_sleepers(ends: Ends) -> None:
    ends.scheduler.submit(_ticket(1))
    ends.worker.done(_ticket(1))
    assert not _is_rung(ends.worker_bell)
    assert not _is_rung(ends.scheduler_bell)
    ends.scheduler.begin_wait()
    ends.worker.done(_ticket(2))
    assert _is_rung(ends.scheduler_bell)
    ends.scheduler_bell.clear()
    ends.scheduler.end_wait()
    ends.worker.done(_ticket(3))
    assert not _is_rung(ends.scheduler_bell)


def test_waiting_ends_at_once_when_a_ticket_is_there(ends: Ends) -> None:
    ends.scheduler.submit(_ticket(1))
    begin = time.monotonic()
    assert ends.worker.wait(30.0, []) == []
    assert time.monotonic() - begin < 10
    assert ends.worker.poll() == _ticket(1)


def test_waiting_ends_with_its_time(ends: Ends) -> None:
    begin = time.monotonic()
    assert ends.worker.wait(0.05, []) == []
    assert time.monotonic() - begin >= 0.05
    assert ends.worker.poll() is None


def test_waiting_tells_which_other_descriptors_are_ready(ends: Ends) -> None:
    reading, writing = os.pipe()
    other, other_end = os.pipe()
    assert ends.worker.wait(0.0, [reading, other]) == []
    os.write(writing, b"x")
    assert ends.worker.wait(30.0, [reading, other]) == [reading]
    os.close(writing)
    os.close(other_end)
    os.read(reading, 1)
    assert sorted(ends.worker.wait(30.0, [reading, other])) == sorted([reading, other]), "ends of pipes are events too"
    os.close(reading)
    os.close(other)


def test_a_fenced_link_publishes_and_reads_nothing(ends: Ends) -> None:
    ends.scheduler.submit(_ticket(1))
    fence(ends.segment, EPOCH + 1)
    successor = SchedulerLink(Segment.attach(os.dup(ends.segment.fd)), EPOCH + 1, Doorbell.create())
    for use in (
        lambda: ends.worker.done(_ticket(1)),
        lambda: ends.worker.failed(_ticket(1), "late"),
        ends.worker.poll,
        lambda: ends.worker.wait(30.0, []),
        lambda: ends.scheduler.submit(_ticket(2)),
        ends.scheduler.poll,
    ):
        with pytest.raises(FencedError):
            use()
    assert successor.poll() is None
    successor.close()


def test_an_end_of_another_epoch_is_refused(ends: Ends) -> None:
    with pytest.raises(FencedError, match="belongs to epoch 3, not 4"):
        SchedulerLink(ends.segment, EPOCH + 1, ends.worker_bell)


def test_epoch_zero_is_an_epoch(make_segment: Callable[[int], Segment]) -> None:
    segment, bell = make_segment(LINK_BYTES), Doorbell.create()
    link = SchedulerLink(segment, 0, bell)
    with pytest.raises(FencedError):
        SchedulerLink(segment, 1, bell)
    link.close()


def test_too_short_a_segment_is_refused(make_segment: Callable[[int], Segment]) -> None:
    bell = Doorbell.create()
    with pytest.raises(ProtocolError, match="needs"):
        SchedulerLink(make_segment(LINK_BYTES - 1), EPOCH, bell)
    bell.close()
