"""What happens to the steps in flight on a worker that died, and to streams no worker is left for.

KV outlives the worker: positions below num_computed are valid, so a stream goes on at its last committed token on any
other worker of the pool. A stream that was aboard too many deaths fails alone: it may be what kills them.
"""

import logging

import numpy as np

from ipc.errors import ErrorCode
from scheduler.commit import fail_job, fail_slot, release_leaving
from scheduler.engine_state import EngineState
from scheduler.ledger import NO_WORKER, Ledger, Slots
from scheduler.stream import SlotState
from scheduler.worker_peer import GenerateFlight, ScoreFlight, WorkerPeer

MAX_DEATHS = 3  # without a token in between
CRASH_LOOP = f"{MAX_DEATHS} workers died while this request was being computed"
NO_WORKER_LEFT = "no worker could be kept running for this model"

log = logging.getLogger("zerolane.scheduler.recovery")


def give_back_flights(state: EngineState, peer: WorkerPeer) -> None:
    """The worker's process has ended and all it had published was committed: plan the rest again."""
    for model, ledger in state.ledgers.items():
        flights = [
            flight.slots for flight in peer.flights if isinstance(flight, GenerateFlight) and flight.model == model
        ]
        if flights:
            _give_back_slots(state, ledger, np.unique(np.concatenate(flights)))
    _give_back_pairs(state, [flight for flight in peer.flights if isinstance(flight, ScoreFlight)])
    log.warning("worker is gone", extra={"fields": {"worker": peer.worker_id, "steps_lost": len(peer.flights)}})
    peer.flights.clear()
    state.writer.arena.sweep(peer.worker_id)


def _give_back_slots(state: EngineState, ledger: Ledger, slots: Slots) -> None:
    ledger.forget_flight(slots)
    for slot in slots.tolist():
        stream = ledger.streams[slot]
        if stream is None:
            continue
        ledger.num_deaths[slot] += 1
        if ledger.num_deaths[slot] >= MAX_DEATHS:
            metrics = state.metrics[ledger.card.index]
            fail_slot(ledger, slot, ErrorCode.WORKER_CRASH_LOOP, CRASH_LOOP, state.frontends, metrics)
    release_leaving(ledger, slots)


def _give_back_pairs(state: EngineState, flights: list[ScoreFlight]) -> None:
    for flight in flights:
        state.score_queues[flight.model].land(flight.pairs)
    for job in {id(job): job for flight in flights for job, _ in flight.pairs}.values():
        job.num_deaths += 1
        if job.num_deaths >= MAX_DEATHS:
            queue, metrics = state.score_queues[job.model], state.metrics[job.model]
            fail_job(queue, job, ErrorCode.WORKER_CRASH_LOOP, CRASH_LOOP, state.frontends, metrics)
    for flight in flights:
        for job, pair in flight.pairs:
            if not job.is_closed:
                state.score_queues[flight.model].requeue(job, pair)


def leave_worker(ledger: Ledger, worker: int, others: list[int]) -> None:
    """A worker is gone or goes: its streams, and those on their way to it, continue on `others`."""
    coming = (ledger.state == SlotState.MOVING) & (ledger.move_to == worker)
    ledger.move_to[coming] = others[0] if others else NO_WORKER
    move_streams_off(ledger, worker, others)


def move_streams_off(ledger: Ledger, worker: int, others: list[int]) -> None:
    """Hand a leaving worker's streams to `others` in turn, each as soon as nothing of it is in flight.

    Without others they stay where they are and go to whoever comes next (`adopt_orphans`).
    """
    slots = ledger.running_on(worker)
    slots = slots[ledger.state[slots] == SlotState.RUNNING]
    if others:
        ledger.move_to[slots] = np.resize(np.array(others, np.int32), len(slots))
    else:
        ledger.move_to[slots] = NO_WORKER
    ledger.state[slots] = SlotState.MOVING
    release_leaving(ledger, slots)


def adopt_orphans(ledger: Ledger, worker: int) -> None:
    """Running streams whose worker left before another was there."""
    ledger.worker[(ledger.worker == NO_WORKER) & (ledger.state == SlotState.RUNNING)] = worker
    ledger.move_to[(ledger.state == SlotState.MOVING) & (ledger.move_to == NO_WORKER)] = worker


def balance(ledger: Ledger, worker: int, fair_share: int) -> None:
    """Let a worker that has less than its share take over streams of those that have more."""
    missing = fair_share - len(ledger.running_on(worker))
    for other in np.unique(ledger.worker[ledger.slots_in(SlotState.RUNNING)]).tolist():
        slots = ledger.running_on(other)
        slots = slots[ledger.state[slots] == SlotState.RUNNING]
        surplus = len(slots) - fair_share
        if other == worker or surplus <= 0 or missing <= 0:
            continue
        moved = slots[: min(surplus, missing)]
        missing -= len(moved)
        ledger.state[moved] = SlotState.MOVING
        ledger.move_to[moved] = worker
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
