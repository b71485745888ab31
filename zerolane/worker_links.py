"""The links between scheduler and workers: made here, used by both, replaced when the scheduler dies.

When the scheduler died, every worker gets a new link (RELINKING) or is stopped, and none is added to the new scheduler
before all have left the old one's: until then one of them may still write KV pages that the new one gives away.
"""

import logging

from ipc.control_messages import AddWorker, LinkWorker
from ipc.doorbell import Doorbell
from ipc.segments import Segment, SegmentError
from ipc.worker_link import LINK_BYTES
from zerolane.children import Role
from zerolane.house import House, Phase
from zerolane.seats import WITHOUT_PROCESS, LinkEnds, Seat, SeatState

RELINK_S = 60.0  # the longest step a worker may still be in when it is given another link

log = logging.getLogger("zerolane.supervisor.worker_links")


def link_worker(house: House, worker: Seat, state: SeatState) -> None:
    """Give a worker a fresh link to the scheduler. `state` is LINKING or RELINKING; a second link has its own epoch."""
    if worker.child is None:
        return
    if state is SeatState.RELINKING:
        worker.epoch += 1
        worker.set_timer(house.loop.call_later(RELINK_S, lambda: house.kill(worker, "does not leave its old link")))
    worker.drop_link()
    worker.state = state
    try:
        worker.link = LinkEnds(Segment.create(f"link of {worker.name}", LINK_BYTES), Doorbell.create())
    except (SegmentError, OSError) as error:
        house.kill(worker, f"cannot be linked: {error}")
        return
    fds = [worker.link.segment.fd, worker.link.doorbell.fileno(), house.scheduler_doorbell.fileno()]
    worker.child.send(LinkWorker(worker.epoch), fds)


def on_linked(worker: Seat, epoch: int) -> None:
    """An answer to a link that was replaced since says nothing."""
    if epoch != worker.epoch:
        return
    match worker.state:
        case SeatState.LINKING:
            worker.state = SeatState.LINKED  # its deadline to serve goes on
        case SeatState.RELINKING:
            worker.state = SeatState.LINKED
            worker.set_timer(None)


def _place(house: House, worker: Seat) -> None:
    """Where it is wanted now: a spare in the place of a worker that died meanwhile, nobody in a pool that drains."""
    vacant = [seat for seat in house.seats.workers if seat.state in WITHOUT_PROCESS]
    if worker.is_spare and vacant and house.phase is not Phase.STARTING:
        worker.take_place_of(vacant[0])
    if worker.pool not in house.pools.serving:
        worker.pool = house.pools.of_worker(worker.id)


def add_linked_workers(house: House) -> None:
    """Tell the scheduler of every worker that waits for it."""
    scheduler, workers = house.seats.scheduler, house.seats.of(Role.WORKER)
    if scheduler.state is not SeatState.READY or scheduler.child is None:
        return
    if any(worker.state in (SeatState.RELINKING, SeatState.STOPPING) for worker in workers):
        return
    for worker in workers:
        if worker.state is SeatState.LINKED and worker.link is not None:
            _place(house, worker)
            fds = [worker.link.segment.fd, worker.link.doorbell.fileno()]
            record = AddWorker(worker.id, worker.epoch, worker.is_spare, worker.pool, worker.phases)
            scheduler.child.send(record, fds)
            worker.drop_link()
            worker.is_added = True
            worker.num_short_lives = 0  # one that comes into service is no sign of a fault that stays
            worker.serves()
            log.info("worker serves", extra={"fields": {"worker": worker.id, "epoch": worker.epoch}})
