"""Appends a finished step's results to the ledger, decides what ended, and forwards exactly what was appended."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ipc import fault_points
from ipc.errors import ErrorCode
from ipc.messages import FinishReason, ScoreBatch, TokenBatch
from ipc.step_layout import RowFlag, RowStatus, StepColumns
from scheduler.drawn_logprobs import DrawnLogprobs, prompt_record
from scheduler.finish_rules import finish_reasons
from scheduler.ledger import Ledger, Slots
from scheduler.scheduler_metrics import ModelMetrics
from scheduler.score_queue import ScoreQueue
from scheduler.stream import ScoreJob, SlotState
from scheduler.to_frontend import FrontendOutbox
from scheduler.worker_peer import GenerateFlight, ScoreFlight

BAD_NUMBERS = "the model produced invalid numbers for this request"
GRAMMAR_FAILED = "the output cannot be continued within the grammar of this request"
NO_TOKEN = -1
_NO_SLOTS: Slots = np.empty(0, np.intp)
_CLOSED, _FREE, _RUNNING = int(SlotState.CLOSED), int(SlotState.FREE), int(SlotState.RUNNING)


def commit_generate(ledger: Ledger, flight: GenerateFlight, frontends: FrontendOutbox, metrics: ModelMetrics) -> Slots:
    """One GENERATE step is done; its block may be released afterwards. Returns slots whose last token will be planned
    again: steps that are in flight behind this one do not count for them."""
    columns, slots, counts = flight.columns, flight.slots, ~flight.is_void
    is_unusual = bool(np.count_nonzero(columns.row_status))  # hardly ever
    late = _NO_SLOTS
    if is_unusual:
        is_late = counts & (columns.row_status == RowStatus.LATER)
        flight.num_new[is_late] -= 1
        flight.samples[is_late] = False
        late = slots[is_late]
    _land(ledger, flight, metrics)
    ledger.rewind(late)
    if columns.header.shape.has_prompt_logprobs:
        _tell_prompt(ledger, flight, columns, counts & (columns.row_status != RowStatus.FAILED), frontends)
    if is_unusual:
        counts &= ~is_late
        counts = _end_unusual_rows(ledger, slots, counts, columns.row_status, frontends, metrics)
    # Before anything ends: a stream that finishes now gives its pages back, and only registered ones stay known.
    fills_page = _has_new_full_page(ledger, flight) & counts
    if np.count_nonzero(fills_page):
        for slot in slots[fills_page].tolist():
            ledger.register_computed_pages(slot)
    states = ledger.state[slots]
    sampled = flight.samples & (states != _CLOSED) & (states != _FREE) & counts
    if np.count_nonzero(sampled):
        _append_tokens(ledger, slots[sampled], columns, sampled, frontends, metrics)
    release_leaving(ledger, slots)
    return late


def _end_unusual_rows(
    ledger: Ledger,
    slots: Slots,
    counts: npt.NDArray[np.bool_],
    status: npt.NDArray[np.int32],
    frontends: FrontendOutbox,
    metrics: ModelMetrics,
) -> npt.NDArray[np.bool_]:
    """Streams whose row drew no token end here; returns the rows that go on."""
    for slot, row_status in zip(slots[counts].tolist(), status[counts].tolist(), strict=True):
        if row_status == RowStatus.COMPLETE:
            _complete(ledger, slot, frontends, metrics)
        elif row_status != RowStatus.FINE:
            message = GRAMMAR_FAILED if row_status == RowStatus.GRAMMAR_FAILED else BAD_NUMBERS
            fail_slot(ledger, slot, ErrorCode.STEP_FAILED, message, frontends, metrics)
    fine: npt.NDArray[np.bool_] = counts & (status == RowStatus.FINE)
    return fine


def _complete(ledger: Ledger, slot: int, frontends: FrontendOutbox, metrics: ModelMetrics) -> None:
    """Its grammar lets nothing follow: it ends as if its end-of-sequence token had been drawn."""
    stream = ledger.streams[slot]
    if stream is None or stream.is_closed:
        return
    slots = np.array([slot])
    position = ledger.num_tokens[slots] - ledger.num_prompt[slots]
    reasons = np.array([FinishReason.STOP], np.uint8)
    _forward(ledger, slots, position, np.array([NO_TOKEN], np.int32), reasons, None, frontends)
    metrics.finished(FinishReason.STOP, stream.arrived)
    ledger.close(stream)


def _land(ledger: Ledger, flight: GenerateFlight, metrics: ModelMetrics) -> None:
    """The step's rows have made progress: whatever killed workers was not in there."""
    slots, num_new, samples = flight.slots, flight.num_new, flight.samples
    ledger.in_flight[slots] -= 1
    if np.count_nonzero(flight.is_void):
        counts = ~flight.is_void
        slots, num_new, samples = slots[counts], num_new[counts], samples[counts]
    ledger.shares.charge(ledger.tenant[slots], num_new, samples)
    before = ledger.num_computed[slots]
    ledger.num_computed[slots] = before + num_new
    ledger.num_pending[slots] -= samples
    ledger.num_deaths[slots] = 0
    metrics.prefilled_tokens.add(float(num_new.sum()) - np.count_nonzero(samples))
    again = ledger.num_once_computed[slots] - before
    if np.count_nonzero(again > 0):
        metrics.reprefilled_tokens.add(float(np.clip(again, 0, num_new).sum()))


def _has_new_full_page(ledger: Ledger, flight: GenerateFlight) -> npt.NDArray[np.bool_]:
    after = ledger.num_computed[flight.slots] // ledger.block_size
    before = (ledger.num_computed[flight.slots] - flight.num_new) // ledger.block_size
    result: npt.NDArray[np.bool_] = after > before
    return result


def _append_tokens(
    ledger: Ledger,
    slots: Slots,
    columns: StepColumns,
    rows: npt.NDArray[np.bool_],
    frontends: FrontendOutbox,
    metrics: ModelMetrics,
) -> None:
    tokens = columns.sampled[rows].copy()
    positions = ledger.num_tokens[slots]
    ledger.tokens[slots, positions] = tokens
    ledger.num_tokens[slots] += 1
    fault_points.reach("scheduler.committed")
    reasons = finish_reasons(ledger, slots, tokens)
    _observe_times(ledger, slots, positions, metrics)
    told = DrawnLogprobs.of(columns, rows) if np.count_nonzero(ledger.num_logprobs[slots] >= 0) else None
    _forward(ledger, slots, positions - ledger.num_prompt[slots], tokens, reasons, told, frontends)
    if not np.count_nonzero(reasons):
        return
    for slot, reason in zip(slots[reasons != 0].tolist(), reasons[reasons != 0].tolist(), strict=True):
        stream = ledger.streams[slot]
        if stream is not None:
            metrics.finished(FinishReason(reason), stream.arrived)
            ledger.close(stream)


def _forward(
    ledger: Ledger,
    slots: Slots,
    positions: npt.NDArray[np.int32],
    tokens: npt.NDArray[np.int32],
    reasons: npt.NDArray[np.uint8],
    told: DrawnLogprobs | None,
    frontends: FrontendOutbox,
) -> None:
    owners = ledger.frontend[slots]
    different = set(owners.tolist())
    for owner in different:
        rows: Any = slice(None) if len(different) == 1 else owners == owner
        batch = TokenBatch(
            ledger.stream_id[slots[rows]].tobytes(),
            positions[rows].tobytes(),
            tokens[rows].tobytes(),
            reasons[rows].tobytes(),
            ledger.num_cached[slots[rows]].tobytes(),
            *(told.columns(rows) if told is not None else ()),
        )
        frontends.send(owner, batch)


def _tell_prompt(
    ledger: Ledger,
    flight: GenerateFlight,
    columns: StepColumns,
    counts: npt.NDArray[np.bool_],
    frontends: FrontendOutbox,
) -> None:
    """Forward what the step's rows tell about their prompts' tokens; each position once, unless a worker died."""
    ends = np.cumsum(columns.num_new)
    is_open = (ledger.state[flight.slots] != SlotState.CLOSED) & (ledger.state[flight.slots] != SlotState.FREE)
    for row in np.flatnonzero(counts & is_open & ((columns.flags & RowFlag.PROMPT_LOGPROBS) > 0)).tolist():
        slot = int(flight.slots[row])
        start = int(columns.start[row])
        num_prompt = int(ledger.num_prompt[slot])
        num_told = min(int(columns.num_new[row]), num_prompt - 1 - start)
        first = int(ends[row] - columns.num_new[row])
        frontends.send(int(ledger.frontend[slot]), prompt_record(columns, first, num_told, int(ledger.stream_id[slot])))
        if start + num_told == num_prompt - 1:
            ledger.num_prompt_logprobs[slot] = -1  # told: another life of the stream may use cached pages


def _observe_times(ledger: Ledger, slots: Slots, positions: npt.NDArray[np.int32], metrics: ModelMetrics) -> None:
    now = time.monotonic()
    is_first = positions == ledger.num_prompt[slots]
    for slot in slots[is_first].tolist() if np.count_nonzero(is_first) else ():
        stream = ledger.streams[slot]
        if stream is not None:
            metrics.time_to_first_token.observe(now - stream.arrived)
            metrics.queue_seconds.observe((stream.admitted or now) - stream.arrived)
            metrics.cached_tokens.add(stream.num_cached_tokens)
    before = ledger.last_token_time[slots]  # 0: in another life
    waited = now - before[before > 0]
    if len(waited):
        metrics.inter_token.observe_many(waited)
    ledger.last_token_time[slots] = now
    metrics.generation_tokens.add(float(len(slots)))


def fail_slot(
    ledger: Ledger, slot: int, code: ErrorCode, message: str, frontends: FrontendOutbox, metrics: ModelMetrics
) -> None:
    """End a running slot's stream with an error, unless it has had its final message.

    What its steps computed from here on becomes no prefix for others: something went wrong with it.
    """
    ledger.is_broken[slot] = True
    stream = ledger.streams[slot]
    if stream is None or stream.is_closed:
        return
    frontends.fail(stream.key, code, message)
    metrics.finished(None, stream.arrived)
    ledger.close(stream)


def release_leaving(ledger: Ledger, slots: Slots) -> None:
    """Slots that wait to be freed or handed over, and have nothing in flight any more, go now."""
    leaves = ledger.state[slots] > _RUNNING
    if not np.count_nonzero(leaves):
        return
    for slot in slots[leaves & (ledger.in_flight[slots] == 0)].tolist():
        ledger.release_if_idle(slot)


def commit_score(queue: ScoreQueue, flight: ScoreFlight, frontends: FrontendOutbox, metrics: ModelMetrics) -> None:
    """One SCORE step is done: forward its pairs, one batch a frontend."""
    columns = flight.columns
    queue.land(flight.pairs)
    by_frontend: dict[bytes, list[tuple[int, ScoreJob, int]]] = {}
    for row, (job, pair) in enumerate(flight.pairs):
        if job.is_closed:
            continue
        if columns.row_status[row] or not np.isfinite(columns.scores[row]).all():
            fail_job(queue, job, ErrorCode.STEP_FAILED, BAD_NUMBERS, frontends, metrics)
            continue
        job.num_done += 1
        job.deaths.pop(pair, None)
        by_frontend.setdefault(job.key.frontend, []).append((row, job, pair))
    for identity, all_rows in by_frontend.items():
        rows = [(row, job, pair) for row, job, pair in all_rows if not job.is_closed]  # another pair of it failed
        if not rows:
            continue
        batch = ScoreBatch(
            np.array([job.key.stream_id for _, job, _ in rows], np.uint64).tobytes(),
            np.array([pair for _, _, pair in rows], np.int32).tobytes(),
            columns.scores[[row for row, _, _ in rows]].tobytes(),
        )
        frontends.send(frontends.index_of(identity), batch)
        metrics.score_pairs.add(float(len(rows)))
        for job in {id(job): job for _, job, _ in rows}.values():
            if job.num_done == job.num_pairs and not job.is_closed:
                metrics.finished(FinishReason.STOP, job.arrived)
                queue.close(job)


def fail_job(
    queue: ScoreQueue, job: ScoreJob, code: ErrorCode, message: str, frontends: FrontendOutbox, metrics: ModelMetrics
) -> None:
    """End a score job with an error, unless it has had its final message."""
    if job.is_closed:
        return
    frontends.fail(job.key, code, message)
    metrics.finished(None, job.arrived)
    queue.close(job)
