"""Takes finished and failed steps off the workers' rings. The only file that reads reports."""

from collections.abc import Iterator

from ipc.step_layout import RingKind
from ipc.worker_link import WorkerReport
from scheduler.worker_peer import Flight, WorkerPeer


def finished_steps(peer: WorkerPeer) -> Iterator[tuple[Flight, WorkerReport]]:
    """Reports of this worker in the order its steps were submitted, each with the step it ends.

    A report that is not for the oldest step in flight belongs to another life and is dropped.
    """
    while (report := peer.link.poll()) is not None:
        if peer.flights and peer.flights[0].ticket.step_id == report.ticket.step_id:
            yield peer.flights.popleft(), report


def is_failure(report: WorkerReport) -> bool:
    return report.kind is RingKind.STEP_FAILED
