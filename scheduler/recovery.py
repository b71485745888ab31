"""What happens to the steps in flight on a worker that died, to its streams, and to those no worker is left for.

KV outlives the worker: positions below num_computed are valid, so a stream goes on at its last committed token on any
other worker of its pool. Who is blamed for the death says `suspects.py`.
"""

import logging

import numpy as np

from ipc.errors import ErrorCode
from scheduler import migration
from scheduler.commit import fail_job, fail_slot, release_leaving
from scheduler.engine_state import EngineState
from scheduler.ledger import NO_WORKER, Ledger
from scheduler.stream import SlotState
from scheduler.suspects import CRASH_LOOP, blame_pairs, blame_slots, suspect_pairs, suspect_slots
from scheduler.worker_peer import CopyFlight, Flight, GenerateFlight, ScoreFlight, WorkerPeer

NO_WORKER_LEFT = "no worker could be kept running for this model"
STEP_FAILED = "the model failed to compute a step this request was part of"

log = logging.getLogger("zerolane.scheduler.recovery")


def give_back_flights(state: EngineState, peer: WorkerPeer) -> None:
    """The worker's process has ended and all it had published was committed: plan the rest again."""
    flights = list(peer.flights)
    peer.flights.clear()
    if flights:
        _blame(state, flights[0])
    for flight in flights:
        _lose(state, flight)
    log.warning("worker is gone", extra={"fields": {"worker": peer.worker_id, "steps_lost": len(flights)}})
    state.writer.arena.sweep(peer.worker_id)


def _blame(state: EngineState, flight: Flight) -> None:
    """It was computing this step."""
    metrics = state.metrics[flight.model]
    if isinstance(flight, GenerateFlight):
        ledger = state.ledgers[flight.model]
        for slot in blame_slots(ledger, flight.slots[~flight.is_void]).tolist():
            fail_slot(ledger, slot, ErrorCode.WORKER_CRASH_LOOP, CRASH_LOOP, state.frontends, metrics)
    elif isinstance(flight, ScoreFlight):
        for job in blame_pairs(flight.pairs):
            queue = state.score_queues[flight.model]
            fail_job(queue, job, ErrorCode.WORKER_CRASH_LOOP, CRASH_LOOP, state.frontends, metrics)


def _lose(state: EngineState, flight: Flight) -> None:
    """The step will never end: its rows are planned again."""
    if isinstance(flight, CopyFlight):
        migration.land(state.ledgers[flight.model], flight, is_done=False)
    elif isinstance(flight, GenerateFlight):
        ledger = state.ledgers[flight.model]
        ledger.in_flight[flight.slots] -= 1
        ledger.rewind(flight.slots)
        release_leaving(ledger, flight.slots)
    else:
        _requeue(state, flight)


def _requeue(state: EngineState, flight: ScoreFlight) -> None:
    queue = state.score_queues[flight.model]
    queue.land(flight.pairs)
    for job, pair in flight.pairs:
        if not job.is_closed:
            queue.requeue(job, pair)


def fail_flight(state: EngineState, peer: WorkerPeer, flight: Flight) -> None:
    """The step raised an exception: whoever was alone in it fails, several are each tried alone."""
    metrics, frontends = state.metrics[flight.model], state.frontends
    if isinstance(flight, CopyFlight):
        migration.fail(state.ledgers[flight.model], flight, state.live_workers)
    elif isinstance(flight, GenerateFlight):
        ledger = state.ledgers[flight.model]
        ledger.in_flight[flight.slots] -= 1
        slots = flight.slots[~flight.is_void]
        ledger.rewind(slots)
        peer.void_later(flight.model, slots)
        suspect_slots(ledger, slots)
        if len(flight.slots) == len(slots) == 1:  # a void row computed on what its step before had not
            fail_slot(ledger, int(slots[0]), ErrorCode.STEP_FAILED, STEP_FAILED, frontends, metrics)
        release_leaving(ledger, flight.slots)
    elif len(flight.pairs) == 1:
        queue = state.score_queues[flight.model]
        queue.land(flight.pairs)
        fail_job(queue, flight.pairs[0][0], ErrorCode.STEP_FAILED, STEP_FAILED, frontends, metrics)
    else:
        suspect_pairs(flight.pairs)
        _requeue(state, flight)


def leave_worker(ledger: Ledger, worker: int, others: list[int]) -> None:
    """A worker is gone or goes: its streams, and those on their way to it, continue on `others`, of the same pool.

    Each goes as soon as nothing of it is in flight. Without others they go to whoever comes next (`adopt_orphans`).
    """
    coming = (ledger.state == SlotState.MOVING) & (ledger.move_to == worker)
    ledger.move_to[coming] = others[0] if others else NO_WORKER
    slots = ledger.running_on(worker)
    slots = slots[ledger.state[slots] == SlotState.RUNNING]
    ledger.move_to[slots] = np.resize(np.array(others, np.int32), len(slots)) if others else NO_WORKER
    ledger.state[slots] = SlotState.MOVING
    release_leaving(ledger, ledger.running_on(worker))


def adopt_orphans(ledger: Ledger, peer: WorkerPeer) -> None:
    """Running streams of the pool whose worker left before another was there."""
    is_here = ledger.pages.pool == peer.pool
    ledger.worker[is_here & (ledger.worker == NO_WORKER) & (ledger.state == SlotState.RUNNING)] = peer.worker_id
    ledger.move_to[is_here & (ledger.state == SlotState.MOVING) & (ledger.move_to == NO_WORKER)] = peer.worker_id


def balance(ledger: Ledger, peer: WorkerPeer, others: list[WorkerPeer], fair_share: int) -> None:
    """Let a worker that has less than its share take over streams of those that have more: first of its own pool."""
    missing = fair_share - len(ledger.running_on(peer.worker_id))
    for other in sorted(others, key=lambda other: other.pool != peer.pool):
        slots = ledger.running_on(other.worker_id)
        slots = slots[ledger.state[slots] == SlotState.RUNNING]
        surplus = len(slots) - fair_share
        if other is peer or surplus <= 0 or missing <= 0:
            continue
        moved = slots[: min(surplus, missing)]
        missing -= len(moved)
        if other.pool != peer.pool:
            for slot in moved.tolist():
                migration.start(ledger, slot, peer.pool)
            continue
        ledger.state[moved] = SlotState.MOVING
        ledger.move_to[moved] = peer.worker_id
        release_leaving(ledger, moved)


def fail_everything(state: EngineState, code: ErrorCode, message: str) -> None:
    """No worker is left and none will come: every open request gets its final message."""
    for model, ledger in state.ledgers.items():
        for stream in list(ledger.by_key.values()):
            state.frontends.fail(stream.key, code, message)
            state.metrics[model].finished(None, stream.arrived)
            ledger.close(stream)
    for model, queue in state.score_queues.items():
        for job in list(queue.jobs.values()):
            fail_job(queue, job, code, message, state.frontends, state.metrics[model])
