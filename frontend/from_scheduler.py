"""Everything that comes from the scheduler: routes each row of a batch to its open stream.

This is the hot path of the process: one frame a step holds the tokens of all streams; its columns are parsed once.
What is lost on the way, the scheduler itself included, is asked for again (`submissions.py`): no stream has a gap.
"""

import logging
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from frontend.bugs import NOT_BUGS
from frontend.drawn_logprobs import LogprobColumns
from frontend.open_streams import OpenStreams
from frontend.score_stream import ScoreStream
from frontend.submissions import Submissions
from frontend.to_scheduler import ToScheduler
from frontend.token_stream import TokenStream
from ipc import fault_points
from ipc.codec import Decoder
from ipc.errors import ErrorCode, ProtocolError, RequestError
from ipc.messages import Failed, FinishReason, FromScheduler, PromptLogprobs, ScoreBatch, TokenBatch, Welcome

SCHEDULER_LOST = "The scheduler was lost several times while this request was open; please send it again."
ANSWER_LOST = "Internal error: an answer of the scheduler was lost several times."
TOKEN_LOST = "Internal error: a token of this answer was lost several times."

_ABORT = int(FinishReason.ABORT)  # looking up a member of an enum costs as much as a row

log = logging.getLogger("zerolane.frontend.from_scheduler")
_decoder: Decoder[FromScheduler] = Decoder(FromScheduler)


class SchedulerReceiver:
    """Takes frames off the link and gives them to the streams."""

    def __init__(self, streams: OpenStreams, submissions: Submissions, to_scheduler: ToScheduler) -> None:
        self._streams = streams
        self._submissions = submissions
        self._to_scheduler = to_scheduler
        self._scheduler_epoch: int | None = None

    def on_frame(self, frame: bytes) -> None:
        """One frame. Of one that cannot be understood nobody knows what was in it: all open streams begin anew."""
        try:
            record = _decoder.decode(frame)
            match record:
                case TokenBatch():
                    fault_points.reach("frontend.received")
                    self._on_tokens(record)
                case PromptLogprobs():
                    self._on_prompt_logprobs(record)
                case ScoreBatch():
                    self._on_scores(record)
                case Failed():
                    self._on_failed(record)
                case Welcome():
                    self._on_welcome(record)
        except (ProtocolError, ValueError) as error:  # numpy says ValueError to a column that is cut off
            log.error("the scheduler sent a frame that cannot be used", extra={"fields": {"error": str(error)}})
            if self._to_scheduler.is_welcomed and len(self._streams):
                self._begin_anew(ErrorCode.STEP_FAILED, ANSWER_LOST)

    def scheduler_gone(self, successor_epoch: int) -> None:
        """The scheduler died. Tokens that it had sent count; the rest of the open streams waits for its successor."""
        self._to_scheduler.take_rest()
        if self._scheduler_epoch is None or self._scheduler_epoch < successor_epoch:  # else it was faster than the news
            self._begin_anew(ErrorCode.SCHEDULER_LOST, SCHEDULER_LOST)

    def _begin_anew(self, code: ErrorCode, message: str) -> None:
        if len(self._streams):
            log.warning("open streams will be submitted again", extra={"fields": {"streams": len(self._streams)}})
        self._to_scheduler.connect(self.on_frame)
        self._submissions.scheduler_lost(code, message)

    def _on_welcome(self, record: Welcome) -> None:
        known, self._scheduler_epoch = self._scheduler_epoch, record.scheduler_epoch
        if self._to_scheduler.is_welcomed and record.scheduler_epoch != known:
            # no message of the supervisor came first; whoever had our streams is gone
            self._begin_anew(ErrorCode.SCHEDULER_LOST, SCHEDULER_LOST)
            return
        self._to_scheduler.welcomed()
        self._submissions.resume()

    def _on_tokens(self, batch: TokenBatch) -> None:
        finished: list[int] = []
        unwanted: list[int] = []  # finished here, by a stop string or a bug, but not at the scheduler
        stream_ids = np.frombuffer(batch.stream_ids, "<u8").tolist()
        columns = LogprobColumns(batch, len(stream_ids)) if batch.logprobs else None  # None: no row asked for any
        find = self._streams.get
        for row, stream_id, position, token_id, finish, num_cached in _rows(
            range(len(stream_ids)),
            stream_ids,
            np.frombuffer(batch.positions, "<i4").tolist(),
            np.frombuffer(batch.token_ids, "<i4").tolist(),
            batch.finish,
            np.frombuffer(batch.num_cached, "<i4").tolist(),
        ):
            stream = find(stream_id)
            if not isinstance(stream, TokenStream):
                continue  # given up, or submitted again under another number
            if position != stream.num_tokens and finish != _ABORT:
                if position > stream.num_tokens:
                    self._lost_token(stream, position)
                continue  # an earlier position: it came twice and counts once
            if position == 0 and stream.misses_prompt:
                self._lost_token(stream, position)
                continue
            try:
                if columns is None or stream.num_logprobs < 0:
                    stream.push(token_id, finish, num_cached)
                else:
                    stream.push(token_id, finish, num_cached, columns.row(row, stream.num_logprobs))
            except NOT_BUGS:
                raise
            except BaseException as error:  # noqa: BLE001 - the border of a stream: a bug in its text ends it alone
                stream.fail(error)
            if stream.is_finished:
                finished.append(stream_id)
                if not finish:
                    unwanted.append(stream_id)
        if finished:
            self._streams.remove(finished)
            self._to_scheduler.abort(unwanted)

    def _on_prompt_logprobs(self, record: PromptLogprobs) -> None:
        stream = self._streams.get(record.stream_id)
        if isinstance(stream, TokenStream) and not stream.push_prompt(record):
            self._lost_token(stream, record.position)

    def _lost_token(self, stream: TokenStream, position: int) -> None:
        fields = {"stream": stream.stream_id, "expected": stream.num_tokens, "got": position}
        log.error("a token of a stream is missing", extra={"fields": fields})
        self._submissions.submit_again(stream, ErrorCode.STEP_FAILED, TOKEN_LOST)

    def _on_scores(self, batch: ScoreBatch) -> None:
        stream_ids = np.frombuffer(batch.stream_ids, "<u8").tolist()
        logits = np.frombuffer(batch.logits, "<f4").reshape(len(stream_ids), -1)  # ValueError if it does not go up
        for stream_id, pair_index, row in _rows(
            stream_ids, np.frombuffer(batch.pair_indexes, "<i4").tolist(), cast("Sequence[Any]", logits)
        ):
            stream = self._streams.get(stream_id)
            if isinstance(stream, ScoreStream):
                if len(row) != stream.num_labels:
                    raise ProtocolError(f"{len(row)} numbers for a pair, {stream.num_labels} expected")
                stream.push(pair_index, row)
                if stream.is_finished:
                    self._streams.remove([stream_id])

    def _on_failed(self, record: Failed) -> None:
        stream = self._streams.get(record.stream_id)
        if stream is None:
            return
        if record.code is ErrorCode.SCHEDULER_LOST:  # it could not reach us for a while, and closed the stream
            self._submissions.submit_again(stream, record.code, record.message)
            return
        self._streams.remove([record.stream_id])
        stream.fail(RequestError(record.code, record.message, retry_after_s=record.retry_after_s or None))


def _rows(*columns: Sequence[Any]) -> "zip[tuple[Any, ...]]":
    """The rows of equal-length columns. Raises ProtocolError before the first row when they are not."""
    if len({len(column) for column in columns}) > 1:
        raise ProtocolError(f"columns of different lengths: {[len(column) for column in columns]}")
    return zip(*columns, strict=True)
