"""Keeps the pipelines of the workers full: which model's step comes next on which worker."""

from ipc.config import SchedulerConfig
from scheduler import migration
from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.placement import Placement
from scheduler.score_queue import ScoreQueue
from scheduler.step_budget import StepBudget
from scheduler.step_draft import take_back
from scheduler.step_planner import plan_generate
from scheduler.suspects import suspects_on
from scheduler.worker_peer import CopyFlight, WorkerPeer

# A score step may take so many times the tokens of others, as long as it takes no longer than a step should and nobody
# waits for a next token: larger products run faster.
SCORE_SHARE = 4
ALONE_PATIENCE = 2.0  # a request that has the model for itself gets steps that take so many times as long


def most_score_tokens(config: SchedulerConfig) -> int:
    """Tokens of the largest score step."""
    return config.max_num_batched_tokens * (SCORE_SHARE if config.target_step_time > 0 else 1)


def fill_workers(state: EngineState) -> None:
    """Give each live worker steps until its pipeline is full or nothing is left to compute."""
    live = state.live_workers
    placements = {model: Placement(ledger, live, state.closed_pools) for model, ledger in state.ledgers.items()}
    for peer in live:
        while len(peer.flights) < state.config.steps_in_flight and _plan_step(state, peer, placements):
            pass


def _plan_step(state: EngineState, peer: WorkerPeer, placements: dict[int, Placement]) -> bool:
    """One step of the first model, in turn, that has work. False: none has, or the arena is full.

    A suspect comes before everything else, and waits until the worker is empty.
    """
    suspicious = [model for model in range(len(state.cards)) if _has_suspect(state, peer, model)]
    if peer.is_busy_alone or (suspicious and peer.flights):
        return False
    if not suspicious and _submit_copies(state, peer):
        return True
    num_models = len(state.cards)
    for model in suspicious or [(peer.next_model + offset) % num_models for offset in range(num_models)]:
        ledger, queue = state.ledgers.get(model), state.score_queues.get(model)
        if (ledger is not None and _submit_generate(state, peer, ledger, placements[model])) or (
            queue is not None and _submit_score(state, peer, queue)
        ):
            peer.next_model = (model + 1) % num_models
            state.metrics[model].steps.add(1)
            return True
    return False


def _has_suspect(state: EngineState, peer: WorkerPeer, model: int) -> bool:
    ledger, queue = state.ledgers.get(model), state.score_queues.get(model)
    if ledger is not None and ledger.by_key:
        return len(suspects_on(ledger, peer.worker_id)) > 0
    return queue is not None and queue.has_suspect_next


def _submit_generate(state: EngineState, peer: WorkerPeer, ledger: Ledger, placement: Placement) -> bool:
    if not ledger.by_key:
        return False
    model, most = ledger.card.index, state.config.max_num_batched_tokens
    paced, is_paced = state.pace.tokens(model, most), state.pace.target_s > 0
    budget = StepBudget(most, state.config.max_num_seqs, paced=paced, ends_with_prompt=is_paced)
    num_alone = peer.prompt_steps.get(model, 0)
    plan = plan_generate(ledger, peer, placement, budget, num_alone < state.config.prompt_steps, state.frontends)
    if plan is None:
        return False
    if state.writer.submit_generate(peer, ledger, plan):
        peer.prompt_steps[model] = num_alone + 1 if plan.leaves_out else 0
        return True
    take_back(ledger, plan)
    return False


def _submit_score(state: EngineState, peer: WorkerPeer, queue: ScoreQueue) -> bool:
    tokens = state.config.max_num_batched_tokens
    if not any(ledger.by_key for ledger in state.ledgers.values()):
        patience = ALONE_PATIENCE if len(queue.jobs) == 1 else 1.0
        tokens = max(tokens, state.pace.tokens(queue.card.index, most_score_tokens(state.config), patience))
    plan = queue.plan(StepBudget(tokens, state.config.max_num_seqs, paced=tokens))
    if plan is None:
        return False
    if state.writer.submit_score(peer, queue.card.index, queue.card.num_labels, plan):
        return True
    queue.land(plan.pairs)
    for job, pair in reversed(plan.pairs):
        queue.requeue(job, pair)
    return False


def _submit_copies(state: EngineState, peer: WorkerPeer) -> bool:
    """Pages for streams that come to this worker's pool; never two such steps in a row while streams run here."""
    if peer.flights and isinstance(peer.flights[-1], CopyFlight):
        return False
    for model, ledger in state.ledgers.items():
        plan = migration.plan_copies(ledger, peer.pool)
        if plan is not None and state.writer.submit_copies(peer, model, ledger.block_size, plan):
            migration.take_off(ledger, plan)
            return True
    return False
