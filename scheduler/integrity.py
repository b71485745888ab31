"""The scheduler's invariants, checked when it is idle and in tests."""

from scheduler.engine_state import EngineState
from scheduler.ledger import Ledger
from scheduler.stream import SlotState


def check(state: EngineState) -> None:
    """Every page, slot and lease is accounted for. Raises RuntimeError with the first thing that is wrong."""
    for ledger in state.ledgers.values():
        check_ledger(ledger)
    for queue in state.score_queues.values():
        if not queue.jobs and (queue.num_waiting_tokens or queue.num_in_flight):
            raise RuntimeError(
                f"{queue.num_waiting_tokens} tokens wait and {queue.num_in_flight} pairs fly without a job"
            )
    in_flight = sum(len(peer.flights) for peer in state.workers.values())
    num_leases, num_rules = state.writer.arena.num_leases, state.rules.num_leases
    if num_leases != in_flight + num_rules:
        raise RuntimeError(f"{num_leases} arena leases for {in_flight} steps in flight and {num_rules} token rules")
    if num_rules and not any(ledger.num_running for ledger in state.ledgers.values()):
        raise RuntimeError(f"{num_rules} token rules are kept for no stream")


def check_ledger(ledger: Ledger) -> None:
    """One model's slots, counters and pages. Raises RuntimeError."""
    tables: dict[int, list[list[int]]] = {}
    for slot, stream in enumerate(ledger.streams):
        if (stream is None) != (ledger.state[slot] == SlotState.FREE):
            raise RuntimeError(f"slot {slot} and its state disagree")
        if stream is None:
            continue
        if stream.slot != slot:
            raise RuntimeError(f"stream {stream.request_id} is in slot {slot} and believes in {stream.slot}")
        if (
            not 0
            <= ledger.num_computed[slot]
            <= ledger.num_planned[slot]
            <= ledger.pages.num_blocks[slot] * ledger.block_size
        ):
            raise RuntimeError(f"slot {slot}: computed, planned and covered positions are out of order")
        tables.setdefault(int(ledger.pages.pool[slot]), []).append(ledger.pages.pages(slot))
    for migration in ledger.migrations.values():
        tables.setdefault(migration.target, []).append(migration.pages)
    for pool, cache in ledger.pages.caches.items():
        cache.check(tables.get(pool, []))
    open_running = sum(stream is not None and not stream.is_closed for stream in ledger.streams)
    if len(ledger.by_key) != open_running + ledger.waiting.num_waiting:
        raise RuntimeError(
            f"{len(ledger.by_key)} open streams, but {open_running} run and {ledger.waiting.num_waiting} wait"
        )
    if not ledger.by_key and (ledger.waiting.num_tokens or ledger.num_running):
        raise RuntimeError("no stream is open, but tokens wait or slots are taken")
