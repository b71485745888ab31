"""Moves running streams from pool to pool: their KV pages are copied while decoding goes on.

    reserve      pages in the target pool; those its prefix cache holds already are shared, not copied
    copy         full pages, by COPY steps on a worker of the target pool; the stream runs on
    pause        when no full page is left to copy: nothing more is planned, what is in flight lands
    copy         the rest, at most the pages that filled meanwhile and the last one
    commit       the copies are the stream's table now, its old pages are free; it runs on in the target pool

Until the commit the stream's own pages are the truth, so either side may die at any point: copies are made again, or
given up (`cancel`) and the stream goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ipc import fault_points
from ipc.kv_layout import page_bytes
from scheduler.ledger import NO_WORKER, Ledger
from scheduler.migration_record import Migration
from scheduler.placement import least_loaded
from scheduler.stream import SlotState
from scheduler.worker_peer import CopyFlight, WorkerPeer

MAX_COPIED_PAGES = 256  # of one step
MAX_COPIED_BYTES = 32 << 20  # of one step (at least one page): decoding beside it waits some milliseconds
MAX_MIGRATIONS = 16  # of one model at once: their pages are held twice
MAX_FAILURES = 3  # COPY steps that raised an exception, before the migration is given up


@dataclass(frozen=True)
class CopyPlan:
    """Rows of one COPY step; all from one source pool. `moves` and `blocks` say whose they are."""

    source: int
    source_pages: list[int]
    target_pages: list[int]
    moves: list[tuple[int, Migration]]  # slot, migration
    blocks: list[list[int]]  # block indexes of each move


def start(ledger: Ledger, slot: int, target: int) -> bool:
    """Begin to move a RUNNING slot. False when it cannot be now: no room there, or too many are under way."""
    pages = ledger.pages
    if target not in pages.caches or pages.pool[slot] == target:
        return False
    if slot in ledger.migrations or len(ledger.migrations) >= MAX_MIGRATIONS:
        return False
    stream = ledger.streams[slot]
    if stream is None or ledger.state[slot] != SlotState.RUNNING:
        return False
    computed = ledger.tokens[slot, : int(ledger.num_computed[slot]) + 1]  # a match leaves the last token out
    known = pages.match(target, computed, stream.cache_salt)
    if not pages.has_room(target, known, int(pages.num_blocks[slot]) * pages.block_size):
        return False
    for page in known.pages:
        pages.caches[target].pool.share(page)
    migration = ledger.migrations[slot] = Migration(target, known, list(known.pages), len(known.pages))
    _reserve(ledger, migration, int(pages.num_blocks[slot]))
    fault_points.reach("migration.reserved")
    return True


def plan_copies(ledger: Ledger, target: int) -> CopyPlan | None:
    """Pages that can be copied to `target` now; None: none. Pauses streams whose full pages are all there."""
    source: int | None = None
    limit = _max_pages(ledger)
    plan = CopyPlan(-1, [], [], [], [])
    for slot, migration in ledger.migrations.items():
        pool = int(ledger.pages.pool[slot])
        if migration.target != target or migration.copying or source not in (None, pool):
            continue
        blocks = _blocks_to_copy(ledger, slot, migration)[: limit - len(plan.source_pages)]
        if not blocks or not _reserve(ledger, migration, blocks[-1] + 1):
            continue
        source = pool
        plan.source_pages.extend(ledger.pages.tables[slot, blocks].tolist())
        plan.target_pages.extend(migration.pages[block] for block in blocks)
        plan.moves.append((slot, migration))
        plan.blocks.append(blocks)
        if len(plan.source_pages) >= limit:
            break
    if source is None:
        return None
    return CopyPlan(source, plan.source_pages, plan.target_pages, plan.moves, plan.blocks)


def _max_pages(ledger: Ledger) -> int:
    card = ledger.card
    fitting = MAX_COPIED_BYTES // page_bytes(card.kv_layers, card.block_size, card.dtype)
    return min(MAX_COPIED_PAGES, max(1, fitting))


def take_off(ledger: Ledger, plan: CopyPlan) -> None:
    """The plan is in flight: neither side's pages may be given away before it lands."""
    for (slot, migration), blocks in zip(plan.moves, plan.blocks, strict=True):
        migration.copying = blocks
        ledger.in_flight[slot] += 1


def land(ledger: Ledger, flight: CopyFlight, is_done: bool) -> int:
    """A COPY step has ended, or was lost. Returns the pages that count as copied now."""
    num_copied = 0
    for slot, migration in flight.moves:
        ledger.in_flight[slot] -= 1
        if is_done:
            num_copied += len(migration.copying)
            migration.num_copied += len(migration.copying)
        migration.copying = []
        ledger.release_if_idle(slot)  # it may have been closed or preempted meanwhile
    if is_done:
        fault_points.reach("migration.copied")
    return num_copied


def fail(ledger: Ledger, flight: CopyFlight, live: Sequence[WorkerPeer]) -> None:
    """A COPY step raised an exception: tried again, at most MAX_FAILURES times."""
    land(ledger, flight, is_done=False)
    for slot, migration in flight.moves:
        migration.num_failures += 1
        if migration.num_failures >= MAX_FAILURES and ledger.migrations.get(slot) is migration:
            cancel(ledger, slot, live)


def commit_all(ledger: Ledger, live: Sequence[WorkerPeer]) -> None:
    """Pause migrations whose full pages are copied, and switch those that are complete to the target pool. One that is
    paused and finds no room there any more is given up.
    """
    for slot, migration in list(ledger.migrations.items()):
        if migration.copying:
            continue
        if ledger.state[slot] == SlotState.RUNNING and not _blocks_to_copy(ledger, slot, migration):
            ledger.state[slot] = SlotState.MOVING
            ledger.move_to[slot] = NO_WORKER
        if ledger.state[slot] == SlotState.MOVING and not ledger.in_flight[slot]:
            heir = least_loaded(ledger, [peer for peer in live if peer.pool == migration.target])
            blocks = _blocks_to_copy(ledger, slot, migration)
            if blocks and not _reserve(ledger, migration, blocks[-1] + 1):
                cancel(ledger, slot, live)  # several that wait for each other's pages would wait for ever
            elif heir is not None and not blocks:
                _commit(ledger, slot, migration, heir)


def cancel(ledger: Ledger, slot: int, live: Sequence[WorkerPeer]) -> None:
    """Give the move up; the stream goes on in its own pool. Only while nothing of it is being copied."""
    migration = ledger.migrations[slot]
    if migration.copying:
        return
    del ledger.migrations[slot]
    ledger.pages.free(migration.target, migration.pages)
    if ledger.state[slot] == SlotState.MOVING:
        heir = least_loaded(ledger, [peer for peer in live if peer.pool == ledger.pages.pool[slot]])
        ledger.move_to[slot] = NO_WORKER if heir is None else heir.worker_id
        ledger.release_if_idle(slot)


def _blocks_to_copy(ledger: Ledger, slot: int, migration: Migration) -> list[int]:
    """Blocks that can be copied now: full ones while the stream runs, all that is computed once it is paused."""
    computed = int(ledger.num_computed[slot])
    if ledger.state[slot] == SlotState.MOVING:
        if ledger.in_flight[slot]:
            return []
        return list(range(migration.num_copied, -(-computed // ledger.block_size)))
    if ledger.state[slot] != SlotState.RUNNING:
        return []
    return list(range(migration.num_copied, computed // ledger.block_size))


def _reserve(ledger: Ledger, migration: Migration, num_blocks: int) -> bool:
    """Hold so many pages in the target pool. False when they ran out; what it got it keeps."""
    while len(migration.pages) < num_blocks:
        page = ledger.pages.caches[migration.target].pool.allocate()
        if page is None:
            return False
        migration.pages.append(page)
    return True


def _commit(ledger: Ledger, slot: int, migration: Migration, heir: WorkerPeer) -> None:
    pages = ledger.pages
    old_pool, old_pages = int(pages.pool[slot]), pages.pages(slot)
    pages.adopt(slot, migration.target, migration.known, migration.pages)
    pages.free(old_pool, old_pages)
    del ledger.migrations[slot]
    ledger.state[slot] = SlotState.RUNNING
    ledger.worker[slot] = heir.worker_id
    ledger.register_computed_pages(slot)
    pages.expect_next(slot, ledger.tokens[slot], int(ledger.num_prompt[slot]))
    fault_points.reach("migration.committed")


def moving_to(ledger: Ledger, target: int) -> list[int]:
    """Slots on their way to a pool."""
    return [slot for slot, migration in ledger.migrations.items() if migration.target == target]


def running_in(ledger: Ledger, pool: int) -> list[int]:
    """RUNNING slots of a pool that stay there so far."""
    slots: list[int] = np.flatnonzero((ledger.pages.pool == pool) & (ledger.state == SlotState.RUNNING)).tolist()
    return [slot for slot in slots if slot not in ledger.migrations]
