"""Writes a plan's columns into a leased arena block and publishes it on the worker's ring. The only file that submits
steps.
"""

import numpy as np
import numpy.typing as npt

from ipc import fault_points
from ipc.arena import Arena
from ipc.step_layout import (
    FROM_LAST_TOKEN,
    MAX_HISTORY_TOKENS,
    RowFlag,
    StepColumns,
    StepHeader,
    StepKind,
    StepShape,
    step_bytes,
    write_header,
)
from ipc.worker_link import StepTicket
from scheduler.ledger import Ledger, Slots
from scheduler.migration import CopyPlan
from scheduler.score_queue import ScorePlan
from scheduler.step_draft import GeneratePlan
from scheduler.worker_peer import CopyFlight, Flight, GenerateFlight, ScoreFlight, WorkerPeer

Counts = npt.NDArray[np.int32]
NO_TOKEN = -1
WIDTHS = 8  # block tables' widths are multiples of it, so that few shapes repeat
_SAMPLE, _PROMPT_LOGPROBS = int(RowFlag.SAMPLE), int(RowFlag.PROMPT_LOGPROBS)


class StepWriter:
    """Owns the arena all step blocks are leased from. A lease ends in `finish`, or with `sweep` when its worker
    died.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena = arena

    def submit_generate(self, peer: WorkerPeer, ledger: Ledger, plan: GeneratePlan) -> bool:
        """Put a GENERATE step in flight. False when the arena is full now: the caller takes the plan back."""
        slots = plan.slots
        start = ledger.num_planned[slots] - plan.num_new
        tells = _tells_prompt(ledger, slots, start)
        shape = _generate_shape(ledger, plan, start, tells)
        leased = self._lease(peer, ledger.card.index, shape)
        if leased is None:
            return False
        ticket, columns = leased
        before = _same_streams(peer, ledger.card.index, slots, shape)
        if before is None:
            _write_streams(columns, ledger, slots)
        else:
            columns.take_inputs(before)
        columns.num_new[:] = plan.num_new
        columns.start[:] = start
        columns.flags[:] = plan.samples * _SAMPLE + tells * _PROMPT_LOGPROBS
        columns.block_tables[:] = ledger.pages.tables[slots, : shape.table_width]
        _write_tokens(columns, ledger, plan, start)
        if shape.num_history:
            _write_history(columns, ledger, slots, start)
        if shape.has_prompt_logprobs:
            end = start + plan.num_new
            has_next = end < columns.num_prompt
            columns.next_token[:] = np.where(has_next, ledger.tokens[slots, np.where(has_next, end, 0)], NO_TOKEN)
        is_void = np.zeros(len(slots), np.bool_)
        flight = GenerateFlight(
            ticket,
            columns,
            ledger.card.index,
            shape.num_tokens,
            slots,
            plan.num_new,
            plan.samples,
            is_void,
            plan.is_alone,
        )
        self._publish(peer, flight)
        return True

    def submit_score(self, peer: WorkerPeer, model: int, num_labels: int, plan: ScorePlan) -> bool:
        """Put a SCORE step in flight. False when the arena is full now: the caller takes the plan back."""
        lengths = [job.length(pair) for job, pair in plan.pairs]
        shape = StepShape(StepKind.SCORE, len(lengths), sum(lengths), num_labels=num_labels)
        leased = self._lease(peer, model, shape)
        if leased is None:
            return False
        ticket, columns = leased
        columns.num_new[:] = lengths
        columns.start[:] = 0
        columns.slot[:] = 0
        columns.flags[:] = 0
        begin = 0
        for (job, pair), length in zip(plan.pairs, lengths, strict=True):
            source = slice(int(job.starts[pair]), int(job.starts[pair + 1]))
            columns.token_ids[begin : begin + length] = job.token_ids[source]
            columns.token_type_ids[begin : begin + length] = job.token_type_ids[source]
            begin += length
        self._publish(peer, ScoreFlight(ticket, columns, model, shape.num_tokens, plan.pairs, plan.is_alone))
        return True

    def submit_copies(self, peer: WorkerPeer, model: int, block_size: int, plan: CopyPlan) -> bool:
        """Put a COPY step in flight. False when the arena is full now."""
        shape = StepShape(StepKind.COPY, len(plan.source_pages), 0)
        leased = self._lease(peer, model, shape, plan.source)
        if leased is None:
            return False
        ticket, columns = leased
        columns.source_page[:] = plan.source_pages
        columns.target_page[:] = plan.target_pages
        self._publish(peer, CopyFlight(ticket, columns, model, len(plan.source_pages) * block_size, plan.moves))
        return True

    def finish(self, flight: Flight) -> None:
        """Results are read: the block is free for another step."""
        self.arena.release(flight.ticket.handle)

    def _lease(
        self, peer: WorkerPeer, model: int, shape: StepShape, source_pool: int = 0
    ) -> tuple[StepTicket, StepColumns] | None:
        handle = self.arena.lease(step_bytes(shape), peer.worker_id)
        if handle is None:
            return None
        peer.num_steps += 1
        header = StepHeader(peer.num_steps, model, peer.epoch, shape, peer.pool, source_pool)
        columns = write_header(self.arena.view(handle), header)
        columns.row_status[:] = 0
        columns.sampled[:] = -1
        return StepTicket(peer.num_steps, handle), columns

    def _publish(self, peer: WorkerPeer, flight: Flight) -> None:
        fault_points.reach("scheduler.planned")
        if not peer.link.submit(flight.ticket):
            raise RuntimeError(f"ring of worker {peer.worker_id} is full with {len(peer.flights)} steps in flight")
        peer.flights.append(flight)
        fault_points.reach("scheduler.published")


def _same_streams(peer: WorkerPeer, model: int, slots: Slots, shape: StepShape) -> StepColumns | None:
    """The step in flight before, where its rows are the same streams' in the same order: decoding repeats itself.

    What is in flight keeps its slots for its streams, so equal slots are enough.
    """
    before = peer.flights[-1] if peer.flights else None
    if not isinstance(before, GenerateFlight) or before.model != model or before.columns.header.shape != shape:
        return None
    return before.columns if not shape.num_history and np.array_equal(before.slots, slots) else None


def _write_streams(columns: StepColumns, ledger: Ledger, slots: Slots) -> None:
    """What never changes while a stream is in its slot."""
    columns.slot[:] = slots
    columns.temperature[:] = ledger.temperature[slots]
    columns.top_p[:] = ledger.top_p[slots]
    columns.min_p[:] = ledger.min_p[slots]
    columns.top_k[:] = ledger.top_k[slots]
    columns.seed[:] = ledger.seed[slots]
    columns.num_prompt[:] = ledger.num_prompt[slots]
    columns.num_logprobs[:] = ledger.num_logprobs[slots]
    columns.serial[:] = ledger.serial[slots]
    columns.rules_id[:] = ledger.rules_id[slots]
    columns.rules_handle[:] = ledger.rules_handle[slots]


def _tells_prompt(ledger: Ledger, slots: Slots, start: Counts) -> npt.NDArray[np.bool_]:
    """[rows] whether the row tells log-probabilities: its prompt has tokens behind its first new one."""
    tells: npt.NDArray[np.bool_] = (ledger.num_prompt_logprobs[slots] >= 0) & (start < ledger.num_prompt[slots] - 1)
    return tells


def _generate_shape(ledger: Ledger, plan: GeneratePlan, start: Counts, tells: npt.NDArray[np.bool_]) -> StepShape:
    slots = plan.slots
    width = min(ledger.pages.tables.shape[1], -(-int(ledger.pages.num_blocks[slots].max()) // WIDTHS) * WIDTHS)
    num_top = int(ledger.num_logprobs[slots].max())
    has_telling = bool(np.count_nonzero(tells))
    if has_telling:
        num_top = max(num_top, int(ledger.num_prompt_logprobs[slots][tells].max()))
    history = int(start[ledger.rules_id[slots] > 0].sum()) if ledger.rules.num_leases else 0
    return StepShape(
        StepKind.GENERATE,
        len(slots),
        int(plan.num_new.sum()),
        width,
        num_top=max(0, num_top),
        num_history=min(_rounded(history), max(MAX_HISTORY_TOKENS, ledger.card.max_model_len)),
        has_prompt_logprobs=has_telling,
    )


def _rounded(size: int) -> int:
    """A power of two, so that the few shapes repeat: laying out a new one costs more than planning a step."""
    return 1 << (size - 1).bit_length() if size else 0


def _write_history(columns: StepColumns, ledger: Ledger, slots: Slots, start: Counts) -> None:
    begin = 0
    for slot, count in zip(
        slots[ledger.rules_id[slots] > 0].tolist(), start[ledger.rules_id[slots] > 0].tolist(), strict=True
    ):
        columns.history[begin : begin + count] = ledger.tokens[slot, :count]
        begin += count


def _write_tokens(columns: StepColumns, ledger: Ledger, plan: GeneratePlan, start: Counts) -> None:
    """Row by row: known tokens, or the mark for the one the worker draws in the step before."""
    slots, num_new = plan.slots, plan.num_new
    if num_new.max() == 1:  # pure decode, the common step
        known = start < ledger.num_tokens[slots]
        columns.token_ids[:] = np.where(
            known, ledger.tokens[slots, np.minimum(start, ledger.card.max_model_len - 1)], FROM_LAST_TOKEN
        )
        return
    begin = 0
    for slot, first, count in zip(slots.tolist(), start.tolist(), num_new.tolist(), strict=True):
        row = columns.token_ids[begin : begin + count]
        row[:] = ledger.tokens[slot, first : first + count]
        num_known = int(ledger.num_tokens[slot]) - first
        if num_known < count:
            row[num_known:] = FROM_LAST_TOKEN
        begin += count
