"""Keeps every worker busy: whose turn it is, which model's, and how large the step may be."""

from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.score_queue import ScoreQueue
from scheduler.step_budget import StepBudget
from scheduler.step_planner import plan_generate, take_back
from scheduler.stream import SlotState
from scheduler.worker_peer import WorkerPeer


def fill_workers(state: EngineState) -> None:
    """Give each live worker steps until its pipeline is full or nothing is left to compute."""
    for peer in state.live_workers:
        while len(peer.flights) < state.config.steps_in_flight and _plan_step(state, peer):
            pass


def _plan_step(state: EngineState, peer: WorkerPeer) -> bool:
    """One step of the first model, in turn, that has work. False: none has, or the arena is full."""
    num_models = len(state.cards)
    for offset in range(num_models):
        model = (peer.next_model + offset) % num_models
        budget = StepBudget(state.config.max_num_batched_tokens, state.config.max_num_seqs)
        ledger, queue = state.ledgers.get(model), state.score_queues.get(model)
        if (ledger is not None and _submit_generate(state, peer, ledger, budget)) or (
            queue is not None and _submit_score(state, peer, queue, budget)
        ):
            peer.next_model = (model + 1) % num_models
            state.metrics[model].steps.add(1)
            return True
    return False


def _submit_generate(state: EngineState, peer: WorkerPeer, ledger: Ledger, budget: StepBudget) -> bool:
    if not ledger.by_key:
        return False
    plan = plan_generate(ledger, peer.worker_id, fair_share(ledger, len(state.live_workers)), budget, state.frontends)
    if plan is None:
        return False
    if state.writer.submit_generate(peer, ledger, plan):
        return True
    take_back(ledger, plan)
    return False


def _submit_score(state: EngineState, peer: WorkerPeer, queue: ScoreQueue, budget: StepBudget) -> bool:
    plan = queue.plan(budget)
    if plan is None:
        return False
    if state.writer.submit_score(peer, queue.card.index, queue.card.num_labels, plan):
        return True
    queue.land(plan.pairs)
    for job, pair in reversed(plan.pairs):
        queue.requeue(job, pair)
    return False


def fair_share(ledger: Ledger, num_workers: int) -> int:
    """Streams one of `num_workers` workers should be responsible for, at most."""
    total = (
        len(ledger.slots_in(SlotState.RUNNING)) + len(ledger.slots_in(SlotState.MOVING)) + ledger.waiting.num_waiting
    )
    return -(-total // max(1, num_workers))
