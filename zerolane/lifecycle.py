"""How a process comes into service: what each message of a child means, and what follows as soon as it can.

    scheduler    STARTING -Ready-> UP -(models are known)-> READY
    frontend     STARTING -Ready-> UP -(models are known)-> PREPARING -Ready-> READY
    fork server  STARTING -(models are known)-Ready-> READY
    worker       WAITING -Forked-> STARTING -Ready-> UP -> LINKING -Linked-> LINKED -(scheduler is READY)-> READY

`settle` runs after every batch of events and moves each seat as far as it can go; so nothing depends on the order in
which processes come up.
"""

import logging

from ipc.control_messages import (
    AddPool,
    Drained,
    Fatal,
    Forked,
    Inspected,
    KeeperReady,
    KillWorker,
    Linked,
    Loaded,
    ModelsReady,
    Pong,
    PoolDrained,
    Progress,
    Ready,
    Stop,
    ToSupervisor,
    WorkerDrained,
    WorkerGone,
)
from zerolane import gpu_pools
from zerolane.births import ask_for_workers, on_forked
from zerolane.children import Child, Role
from zerolane.house import House, Phase
from zerolane.readiness import tell_readiness
from zerolane.seats import Seat, SeatState
from zerolane.worker_links import add_linked_workers, link_worker, on_linked

LEAVE_S = 5.0  # a process that was told to stop, or whose link is closed, has this long to end

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
        case Ready(batch_heights):
            _on_ready(seat)
            if batch_heights:
                house.batch_heights[seat.num_threads] = batch_heights
        case Linked(epoch):
            on_linked(seat, epoch)
        case Forked():
            on_forked(house, record)
        case WorkerDrained(worker_id):
            _on_worker_drained(house, worker_id)
        case KillWorker(worker_id, epoch, reason):
            for worker in house.seats.of(Role.WORKER):
                if (worker.id, worker.epoch) == (worker_id, epoch):
                    house.kill(worker, reason)
        case PoolDrained(pool):
            house.pools.drained |= {pool} & house.pools.draining
        case KeeperReady(memory):
            gpu_pools.on_keeper_ready(house, seat, memory)
        case Pong():
            seat.unanswered_since = None
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
            if house.phase is Phase.STARTING:
                return  # its end will end the start, with these words
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
    gpu_pools.start_keepers(house)
    ask_for_workers(house)
    for worker in house.seats.of(Role.WORKER):
        if worker.state is SeatState.UP:
            link_worker(house, worker, SeatState.LINKING)
    add_linked_workers(house)
    tell_readiness(house)


def _on_ready(seat: Seat) -> None:
    match seat.role, seat.state:
        case (Role.FRONTEND, SeatState.PREPARING) | (Role.FORKSERVER, SeatState.STARTING):
            seat.serves()
        case _, SeatState.STARTING:
            seat.state = SeatState.UP


def _on_worker_drained(house: House, worker_id: int) -> None:
    """It leaves now, or goes on in another pool."""
    for worker in house.seats.of(Role.WORKER):
        if worker.id == worker_id and worker.state is SeatState.DRAINING:
            worker.is_added = False
            if worker.is_moving:
                worker.is_moving = False
                link_worker(house, worker, SeatState.RELINKING)
            else:
                stop(house, worker)


def _introduce_models(house: House, seat: Seat) -> None:
    """Send ModelsReady once a life: to the fork server at once, to the others when they said they are up. A worker is
    born with them."""
    if seat.child is None or seat.knows_models:
        return
    match seat.role, seat.state:
        case Role.FORKSERVER | Role.KEEPER, _:
            cards = [card for card in house.cards if (card.device == "cpu") == (seat.role is Role.FORKSERVER)]
            seat.child.send(ModelsReady(house.cards), house.memory.weight_descriptors(cards))
        case Role.SCHEDULER, SeatState.UP:
            seat.child.send(ModelsReady(house.cards))
            seat.serves()
            _introduce_pools(house, seat.child)
            _tell_if_no_worker_comes(house, seat.child)
        case Role.FRONTEND, SeatState.UP:
            seat.child.send(ModelsReady(house.cards))
            seat.state = SeatState.PREPARING
        case _:
            return
    seat.knows_models = True


def _introduce_pools(house: House, scheduler: Child) -> None:
    """What was draining when its predecessor died is drained: nothing of it is known any more."""
    for pool in house.pools.serving:
        scheduler.send(AddPool(pool))
    house.pools.drained |= house.pools.draining


def _tell_if_no_worker_comes(house: House, scheduler: Child) -> None:
    """A new scheduler would let requests wait for workers that were given up."""
    workers = house.seats.of(Role.WORKER)
    if all(worker.state is SeatState.FAILED for worker in workers):
        scheduler.send(WorkerGone(workers[0].id, workers[0].epoch, will_return=False, was_asked=True))
