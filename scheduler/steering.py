"""Where running streams should be: out of pools that close, and from workers that prefill to workers that decode.

Within a pool a stream changes its worker with the next step, nothing is copied; between pools it migrates.
"""

import time

import numpy as np

from ipc.control_messages import PoolDrained
from scheduler import migration
from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.placement import least_loaded
from scheduler.stream import SlotState
from scheduler.worker_peer import WorkerPeer

LOST_AFTER_S = 10.0


def steer(state: EngineState) -> None:
    """Once a turn, after reports were taken and before steps are planned."""
    live = state.live_workers
    _note_lost_pools(state)
    for ledger in state.ledgers.values():
        _give_up_hopeless(ledger, state, live)
        migration.commit_all(ledger, live)
        _hand_over(ledger, live)
        for pool in state.closed_pools:
            _leave_pool(ledger, pool, _targets(state, live))
    _let_drained_go(state)


def _note_lost_pools(state: EngineState) -> None:
    """Streams of a pool nobody computes in wait for its next worker, but not for ever if other pools have workers."""
    now = time.monotonic()
    manned = {peer.pool for peer in state.workers.values() if not peer.is_spare}
    known = {pool for ledger in state.ledgers.values() for pool in ledger.pages.caches}
    state.unmanned_since = {pool: state.unmanned_since.get(pool, now) for pool in known - manned}
    if manned:
        state.lost_pools = {pool for pool, since in state.unmanned_since.items() if now - since > LOST_AFTER_S}


def _let_drained_go(state: EngineState) -> None:
    """Pools that shall be drained, and of which no page is used any more, are forgotten; the supervisor is told."""
    ledgers = state.ledgers.values()
    for pool in list(state.draining_pools):
        if not any(ledger.pages.num_used(pool) for ledger in ledgers):
            for ledger in ledgers:
                ledger.pages.remove_pool(pool)
            state.draining_pools.discard(pool)
            state.to_supervisor.append(PoolDrained(pool))


def _targets(state: EngineState, live: list[WorkerPeer]) -> list[WorkerPeer]:
    """Workers of pools that stay."""
    return [peer for peer in live if peer.pool not in state.closed_pools]


def _leave_pool(ledger: Ledger, pool: int, targets: list[WorkerPeer]) -> None:
    for slot in migration.running_in(ledger, pool):
        heir = _best_target(ledger, slot, targets)
        if heir is None or not migration.start(ledger, slot, heir.pool):
            return  # no room now; some comes free as streams end


def _best_target(ledger: Ledger, slot: int, targets: list[WorkerPeer]) -> WorkerPeer | None:
    """A worker for what the stream does now, the least loaded one; streams on their way to its pool count."""
    wanted = "decode" if ledger.num_tokens[slot] > ledger.num_prompt[slot] else "prefill"
    targets = [peer for peer in targets if peer.pool in ledger.pages.caches]
    fitting = [peer for peer in targets if peer.phases in ("both", wanted)] or targets
    return min(
        fitting,
        key=lambda peer: (
            np.count_nonzero(ledger.worker == peer.worker_id)
            + len(migration.moving_to(ledger, peer.pool)) / max(1, sum(other.pool == peer.pool for other in fitting))
        ),
        default=None,
    )


def _hand_over(ledger: Ledger, live: list[WorkerPeer]) -> None:
    """Streams that have their first token leave workers that only prefill."""
    decoding = [peer for peer in live if peer.phases != "prefill"]
    if not decoding:
        return
    for peer in live:
        if peer.phases != "prefill":
            continue
        mine = (ledger.worker == peer.worker_id) & (ledger.state == SlotState.RUNNING)
        for slot in np.flatnonzero(mine & (ledger.num_tokens > ledger.num_prompt) & (ledger.to_plan <= 1)).tolist():
            near = [other for other in decoding if other.pool == peer.pool]
            heir = least_loaded(ledger, near) or _best_target(ledger, slot, decoding)
            if heir is None or slot in ledger.migrations:
                continue
            if heir.pool == peer.pool:
                ledger.state[slot] = SlotState.MOVING
                ledger.move_to[slot] = heir.worker_id
                ledger.release_if_idle(slot)
            else:
                migration.start(ledger, slot, heir.pool)


def _give_up_hopeless(ledger: Ledger, state: EngineState, live: list[WorkerPeer]) -> None:
    """Moves into a pool that closes, or that has lost its last worker, are given up: the stream goes on where it is."""
    alive = {peer.pool for peer in live} - state.closed_pools
    for slot, moving in list(ledger.migrations.items()):
        if moving.target not in alive:
            migration.cancel(ledger, slot, live)
