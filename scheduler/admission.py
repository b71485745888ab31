"""Takes submissions in or refuses them at once: bounded queues, and the time after which coming back is worth it."""

import logging
from collections import deque

import numpy as np

from ipc.errors import ErrorCode, RequestError
from ipc.messages import Abort, FinishReason, SubmitGenerate, SubmitScore
from scheduler.engine_state import EngineState
from scheduler.from_frontend import score_job_from, stream_from
from scheduler.recovery import NO_WORKER_LEFT
from scheduler.stream import StreamKey

log = logging.getLogger("zerolane.scheduler.admission")
RATE_WINDOW = 64  # finished prefills and scores the measured rate looks back on
MAX_RETRY_AFTER_S = 120.0


class TokenRate:
    """Tokens a second lately taken off the queues, for Retry-After."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=RATE_WINDOW)

    def add(self, now: float, tokens: int) -> None:
        """A step that took `tokens` off the queues ended at `now` (monotonic seconds)."""
        self._samples.append((now, tokens))

    def seconds_for(self, tokens: int) -> float:
        """How long `tokens` will wait; 1 s as long as nothing was measured."""
        if len(self._samples) < 2:
            return 1.0
        span = self._samples[-1][0] - self._samples[0][0]
        total = sum(count for _, count in self._samples)
        return min(MAX_RETRY_AFTER_S, max(1.0, tokens * span / max(1, total)))


def submit_generate(state: EngineState, identity: bytes, record: SubmitGenerate, rate: TokenRate) -> None:
    """A new stream waits, or is refused with one Failed."""
    key = StreamKey(identity, record.stream_id)
    try:
        _check_hope(state)
        stream = stream_from(identity, record, state.cards)
        stream.tenant = _tenant(state, stream.tenant)
        ledger = state.ledgers[record.model]
        if key in ledger.by_key:
            raise RequestError(ErrorCode.INVALID_REQUEST, "this stream id is open already")
        if not record.resumes:
            _check_room(state, ledger.waiting.num_tokens, stream.weight, rate)
    except RequestError as error:
        state.frontends.fail(key, error.code, str(error), error.retry_after_s or 0.0)
        return
    ledger.open(stream)
    if not record.resumes:
        state.metrics[record.model].prompt_tokens.add(stream.num_prompt_tokens)


def submit_score(state: EngineState, identity: bytes, record: SubmitScore, rate: TokenRate) -> None:
    """A new score job waits, or is refused with one Failed."""
    key = StreamKey(identity, record.stream_id)
    try:
        _check_hope(state)
        job = score_job_from(identity, record, state.cards)
        job.tenant = _tenant(state, job.tenant)
        queue = state.score_queues[record.model]
        if key in queue.jobs:
            raise RequestError(ErrorCode.INVALID_REQUEST, "this stream id is open already")
        if not record.resumes:
            _check_room(state, queue.num_waiting_tokens, len(job.token_ids), rate)
    except RequestError as error:
        state.frontends.fail(key, error.code, str(error), error.retry_after_s or 0.0)
        return
    queue.add(job)
    if not record.resumes:
        state.metrics[record.model].prompt_tokens.add(len(job.token_ids))


def abort(state: EngineState, identity: bytes, record: Abort) -> None:
    """The frontend lost interest: close without an answer."""
    if len(record.stream_ids) % 8:
        log.error("a column of stream ids is cut off", extra={"fields": {"frontend": identity.hex()}})
        return
    for stream_id in np.frombuffer(record.stream_ids, np.uint64).tolist():
        abort_key(state, StreamKey(identity, stream_id))


def abort_frontend(state: EngineState, identity: bytes) -> None:
    """The frontend's process has ended: all of its streams and jobs close."""
    for key in _keys_of(state, identity):
        abort_key(state, key)


def fail_frontend(state: EngineState, identity: bytes) -> None:
    """The frontend cannot be reached: its streams close, and it is told so should it come back."""
    for key in _keys_of(state, identity):
        abort_key(state, key)
        state.frontends.fail(key, ErrorCode.SCHEDULER_LOST, "tokens of this request could not be delivered")


def _keys_of(state: EngineState, identity: bytes) -> list[StreamKey]:
    open_keys = [key for ledger in state.ledgers.values() for key in ledger.by_key]
    open_keys += [key for queue in state.score_queues.values() for key in queue.jobs]
    return [key for key in open_keys if key.frontend == identity]


def abort_key(state: EngineState, key: StreamKey) -> None:
    """Close whatever is open under this key; nothing when it has ended."""
    for model, ledger in state.ledgers.items():
        stream = ledger.by_key.get(key)
        if stream is not None:
            state.metrics[model].finished(FinishReason.ABORT, stream.arrived)
            ledger.close(stream)
    for model, queue in state.score_queues.items():
        job = queue.jobs.get(key)
        if job is not None:
            state.metrics[model].finished(FinishReason.ABORT, job.arrived)
            queue.close(job)


def _tenant(state: EngineState, tenant: str) -> str:
    """Without fair shares all are one tenant."""
    return tenant if state.config.fair_shares else ""


def _check_hope(state: EngineState) -> None:
    if state.is_without_hope:
        raise RequestError(ErrorCode.NO_WORKER, NO_WORKER_LEFT)


def _check_room(state: EngineState, num_waiting: int, num_new: int, rate: TokenRate) -> None:
    limit = state.config.max_waiting_tokens
    if num_waiting and num_waiting + num_new > limit:
        seconds = rate.seconds_for(num_waiting + num_new - limit)
        message = f"{num_waiting} tokens are waiting already and at most {limit} may; try again in {seconds:.0f} s"
        raise RequestError(ErrorCode.QUEUE_FULL, message, retry_after_s=seconds)
