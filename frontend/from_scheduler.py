"""Everything that comes from the scheduler: routes each row of a batch to its open stream.

This is the hot path of the process: one frame a step holds the tokens of all streams; its columns are parsed once.
"""

import logging

import numpy as np

from frontend.open_streams import OpenStreams, ScoreStream, TokenStream
from frontend.to_scheduler import ToScheduler
from ipc.codec import Decoder
from ipc.errors import ErrorCode, ProtocolError, RequestError
from ipc.messages import Failed, FromScheduler, ScoreBatch, TokenBatch, Welcome

SCHEDULER_LOST_MESSAGE = "The scheduler was lost while this request was open; please send it again."

log = logging.getLogger("zerolane.frontend.from_scheduler")
_decoder: Decoder[FromScheduler] = Decoder(FromScheduler)


class SchedulerReceiver:
    """Takes frames off the link and gives them to the streams."""

    def __init__(self, streams: OpenStreams, to_scheduler: ToScheduler) -> None:
        self._streams = streams
        self._to_scheduler = to_scheduler
        self._scheduler_epoch: int | None = None

    def on_frame(self, frame: bytes) -> None:
        """One frame. A frame that cannot be understood ends all open streams: their tokens may have been in it."""
        try:
            record = _decoder.decode(frame)
            match record:
                case TokenBatch():
                    self._on_tokens(record)
                case ScoreBatch():
                    self._on_scores(record)
                case Failed():
                    self._on_failed(record)
                case Welcome():
                    self._on_welcome(record)
        except (ProtocolError, ValueError) as error:
            log.error("the scheduler sent a frame that cannot be used", extra={"fields": {"error": str(error)}})
            self._streams.fail_all(ErrorCode.STEP_FAILED, "Internal error: an answer of the scheduler was lost.")

    def scheduler_gone(self) -> None:
        """The scheduler died: its open streams end, and the link is made anew for its successor."""
        self._streams.fail_all(ErrorCode.SCHEDULER_LOST, SCHEDULER_LOST_MESSAGE)
        self._to_scheduler.connect(self.on_frame)

    def _on_welcome(self, record: Welcome) -> None:
        if self._scheduler_epoch is not None and record.scheduler_epoch != self._scheduler_epoch:
            # no message of the supervisor came first; streams of the old epoch have nobody who computes them
            self._streams.fail_all(ErrorCode.SCHEDULER_LOST, SCHEDULER_LOST_MESSAGE)
        self._scheduler_epoch = record.scheduler_epoch
        self._to_scheduler.welcomed()

    def _on_tokens(self, batch: TokenBatch) -> None:
        finished: list[int] = []
        unwanted: list[int] = []  # finished here, by a stop string, but not at the scheduler
        for stream_id, position, token_id, finish, num_cached in zip(
            np.frombuffer(batch.stream_ids, "<u8").tolist(),
            np.frombuffer(batch.positions, "<i4").tolist(),
            np.frombuffer(batch.token_ids, "<i4").tolist(),
            batch.finish,
            np.frombuffer(batch.num_cached, "<i4").tolist(),
            strict=True,
        ):
            stream = self._streams.get(stream_id)
            if not isinstance(stream, TokenStream):
                continue  # given up meanwhile
            if position != stream.num_tokens and token_id >= 0:
                if position > stream.num_tokens:
                    finished.append(stream_id)
                    unwanted.append(stream_id)
                    self._lost_token(stream, position)
                continue  # an earlier position: it came twice and counts once
            stream.push(token_id, finish, num_cached)
            if stream.is_finished:
                finished.append(stream_id)
                if not finish:
                    unwanted.append(stream_id)
        if finished:
            self._streams.remove(finished)
            self._to_scheduler.abort(unwanted)

    def _lost_token(self, stream: TokenStream, position: int) -> None:
        fields = {"stream": stream.stream_id, "expected": stream.num_tokens, "got": position}
        log.error("a token of a stream is missing", extra={"fields": fields})
        stream.fail(RequestError(ErrorCode.STEP_FAILED, "Internal error: a token of this answer was lost."))

    def _on_scores(self, batch: ScoreBatch) -> None:
        stream_ids = np.frombuffer(batch.stream_ids, "<u8").tolist()
        pair_indexes = np.frombuffer(batch.pair_indexes, "<i4").tolist()
        logits = np.frombuffer(batch.logits, "<f4").tolist()  # one label a pair: others are refused at the door
        for stream_id, pair_index, logit in zip(stream_ids, pair_indexes, logits, strict=True):
            stream = self._streams.get(stream_id)
            if isinstance(stream, ScoreStream):
                stream.push(pair_index, logit)
                if stream.is_finished:
                    self._streams.remove([stream_id])

    def _on_failed(self, record: Failed) -> None:
        stream = self._streams.get(record.stream_id)
        if stream is not None:
            self._streams.remove([record.stream_id])
            stream.fail(RequestError(record.code, record.message, retry_after_s=record.retry_after_s or None))
