"""How a process comes into service: what each message of a child means, and what follows as soon as it can.

    scheduler   STARTING -Ready-> UP -(models are known)-> READY
    frontend    STARTING -Ready-> UP -(models are known)-> PREPARING -Ready-> READY
    worker      STARTING -Ready-> UP -> LINKING -Linked-> LINKED -(scheduler is READY)-> READY

`settle` runs after every batch of events and moves each seat as far as it can go; so nothing depends on the order in
which processes come up. When the scheduler died, every worker gets a new link (RELINKING), and none is added to the new
scheduler before all have left the old one's: until then one of them may still write KV pages the new one gives away.
"""

import logging
import time

from ipc.control_messages import (
    AddWorker,
    Drained,
    Fatal,
    Inspected,
    Linked,
    LinkWorker,
    Loaded,
    ModelsReady,
    Progress,
    Readiness,
    Ready,
    Stop,
    ToSupervisor,
    WorkerDrained,
    WorkerGone,
)
from ipc.doorbell import Doorbell
from ipc.segments import Segment, SegmentError
from ipc.worker_link import LINK_BYTES
from zerolane.children import Child, Role
from zerolane.house import House, Phase
from zerolane.seats import LinkEnds, Seat, SeatState

LEAVE_S = 5.0  # a process that was told to stop, or whose link is closed, has this long to end
RELINK_S = 60.0  # the longest step a worker may still be in when it is given another link

log = logging.getLogger("zerolane.supervisor.lifecycle")


def on_link(house: House, seat: Seat) -> None:
    """The child's link is readable: take what it says; at its end the process has LEAVE_S to be gone."""
    if seat.child is None:
        return
    records, goes_on = seat.child.received()
    for record in records:
        on_message(house, seat, record)
    if not goes_on:
        house.loop.unwatch(seat.child.link.fileno())
        if seat.state is not SeatState.STOPPING:
            seat.set_timer(
                house.loop.call_later(LEAVE_S, lambda: house.kill(seat, "closed its control link and stayed"))
            )


def on_message(house: House, seat: Seat, record: ToSupervisor) -> None:
    """Only notes what was said; what follows from it is done by `settle`."""
    match record:
        case Ready():
            _on_ready(seat)
        case Linked(epoch):
            _on_linked(seat, epoch)
        case WorkerDrained(worker_id):
            for worker in house.seats.of(Role.WORKER):
                if worker.id == worker_id and worker.state is SeatState.DRAINING:
                    stop(house, worker)
        case Drained():
            seat.state = SeatState.DRAINED
        case Inspected(cards):
            house.inspected = cards
        case Loaded(cards):
            house.loaded = cards
        case Progress():
            house.progress_bar.show(record)
        case Fatal(message):
            seat.last_words = record
            log.error(f"{seat.name}: {message}", extra={"fields": {"advice": record.advice}})


def stop(house: House, seat: Seat) -> None:
    """Tell it to leave; it is killed if it has not within LEAVE_S."""
    if seat.child is not None:
        seat.state = SeatState.STOPPING
        seat.child.send(Stop())
        seat.set_timer(house.loop.call_later(LEAVE_S, lambda: house.kill(seat, "did not stop")))


def settle(house: House) -> None:
    """Move every seat as far as it can go now."""
    if house.phase is Phase.STOPPING:
        return
    if house.cards:
        for seat in house.seats.alive:
            _introduce_models(house, seat)
    for worker in house.seats.of(Role.WORKER):
        if worker.state is SeatState.UP:
            link_worker(house, worker, SeatState.LINKING)
    _add_linked_workers(house)
    _tell_readiness(house)


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


def missing(house: House) -> str:
    """What keeps the server from answering, for /ready and the operator; "" if nothing does."""
    if not house.cards:
        return "models are loading"
    if house.seats.scheduler.state is not SeatState.READY:
        return "the scheduler is starting"
    workers = house.seats.of(Role.WORKER)
    if any(worker.state is SeatState.READY for worker in workers):
        return ""
    failed = all(worker.state is SeatState.FAILED for worker in workers)
    return "no worker could be kept running" if failed else "no worker is ready"


def _on_ready(seat: Seat) -> None:
    match seat.role, seat.state:
        case Role.FRONTEND, SeatState.PREPARING:
            _serve(seat)
        case _, SeatState.STARTING:
            seat.state = SeatState.UP


def _on_linked(worker: Seat, epoch: int) -> None:
    """An answer to a link that was replaced since says nothing."""
    if epoch != worker.epoch:
        return
    match worker.state:
        case SeatState.LINKING:
            worker.state = SeatState.LINKED  # its deadline to serve goes on
        case SeatState.RELINKING:
            worker.state = SeatState.LINKED
            worker.set_timer(None)


def _serve(seat: Seat) -> None:
    seat.state = SeatState.READY
    seat.ready_at = time.monotonic()
    seat.set_timer(None)


def _introduce_models(house: House, seat: Seat) -> None:
    """Send ModelsReady once a life: to a worker at once, to the others when they said they are up."""
    if seat.child is None or seat.knows_models or seat.role is Role.LOADER:
        return
    if seat.role is Role.WORKER:
        seat.child.send(ModelsReady(house.cards), house.memory.worker_descriptors(house.cards))
    elif seat.state is SeatState.UP:
        seat.child.send(ModelsReady(house.cards))
        if seat.role is Role.SCHEDULER:
            _serve(seat)
            _tell_if_no_worker_comes(house, seat.child)
        else:
            seat.state = SeatState.PREPARING
    else:
        return
    seat.knows_models = True


def _tell_if_no_worker_comes(house: House, scheduler: Child) -> None:
    """A new scheduler would let requests wait for workers that were given up."""
    workers = house.seats.of(Role.WORKER)
    if all(worker.state is SeatState.FAILED for worker in workers):
        scheduler.send(WorkerGone(workers[0].id, workers[0].epoch, will_return=False))


def _add_linked_workers(house: House) -> None:
    scheduler, workers = house.seats.scheduler, house.seats.of(Role.WORKER)
    if scheduler.state is not SeatState.READY or scheduler.child is None:
        return
    if any(worker.state is SeatState.RELINKING for worker in workers):
        return
    for worker in workers:
        if worker.state is SeatState.LINKED and worker.link is not None:
            fds = [worker.link.segment.fd, worker.link.doorbell.fileno()]
            scheduler.child.send(AddWorker(worker.id, worker.epoch), fds)
            worker.drop_link()
            _serve(worker)
            log.info("worker serves", extra={"fields": {"worker": worker.id, "epoch": worker.epoch}})


def _tell_readiness(house: House) -> None:
    """Every serving frontend knows what is missing now."""
    reason = missing(house)
    for frontend in house.seats.of(Role.FRONTEND):
        if frontend.state is SeatState.READY and frontend.child is not None and frontend.told_readiness != reason:
            frontend.told_readiness = reason
            frontend.child.send(Readiness(ready=not reason, reason=reason))
