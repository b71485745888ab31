"""What the frontend makes of frames: each token once, gaps and garbage end streams with an error, never in silence."""

from collections.abc import Sequence

import numpy as np
import pytest

from frontend.byte_tokenizer import ByteDetokenizer
from frontend.from_scheduler import SchedulerReceiver
from frontend.open_streams import OpenStreams, ScoreStream, StreamGroup, TokenStream
from frontend.to_scheduler import ToScheduler
from ipc.codec import encode
from ipc.errors import ErrorCode
from ipc.messages import Failed, FinishReason, ScoreBatch, TokenBatch, Welcome
from tests.support.scripted_scheduler import token_rows


class Recorder(ToScheduler):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__("ipc:///nowhere", 0, 1)
        self.aborted: list[int] = []

    def abort(self, stream_ids: Sequence[int]) -> None:
        self.aborted.extend(stream_ids)


class Bench:
    """A receiver with two open token streams, 1 and 2; stream 2 stops at "x"."""

    def __init__(self) -> None:
        self.streams = OpenStreams()
        self.sender = Recorder()
        self.receiver = SchedulerReceiver(self.streams, self.sender)
        group = StreamGroup(tells_text=True)
        self.first = TokenStream(1, group, 0, ByteDetokenizer(), (), ())
        self.second = TokenStream(2, group, 1, ByteDetokenizer(), ("x",), ())
        self.streams.add(self.first)
        self.streams.add(self.second)

    def rows(self, *rows: tuple[int, int, str, FinishReason]) -> None:
        batch = token_rows(*((stream_id, position, ord(char), end) for stream_id, position, char, end in rows))
        self.receiver.on_frame(encode(batch))


@pytest.fixture
def bench() -> Bench:
    return Bench()


GOES_ON, LENGTH = FinishReason.NONE, FinishReason.LENGTH


def test_rows_reach_their_streams(bench: Bench) -> None:
    bench.rows((2, 0, "b", GOES_ON), (1, 0, "a", GOES_ON), (77, 0, "c", GOES_ON))
    bench.rows((1, 1, "A", LENGTH))
    assert (bench.first.take_text(), bench.second.take_text()) == ("aA", "b")
    assert bench.first.finish_reason == "length"
    assert len(bench.streams) == 1
    assert bench.sender.aborted == []


def test_a_stop_string_ends_the_work_at_the_scheduler(bench: Bench) -> None:
    bench.rows((2, 0, "x", GOES_ON))
    assert bench.sender.aborted == [2]
    bench.rows((2, 1, "y", GOES_ON))  # was under way
    assert bench.second.take_text() == ""
    assert bench.second.num_tokens == 1


def test_a_stop_string_in_the_last_token_needs_no_abort(bench: Bench) -> None:
    bench.rows((2, 0, "x", LENGTH))
    assert (bench.second.finish_reason, bench.second.stop_reason) == ("stop", "x")
    assert bench.sender.aborted == []


def test_a_token_that_comes_twice_counts_once(bench: Bench) -> None:
    bench.rows((1, 0, "a", GOES_ON))
    bench.rows((1, 0, "a", GOES_ON), (1, 1, "b", GOES_ON))
    assert bench.first.take_text() == "ab"


def test_a_missing_token_ends_the_stream(bench: Bench) -> None:
    bench.rows((1, 1, "b", GOES_ON))
    assert bench.first.error is not None
    assert bench.first.error.code is ErrorCode.STEP_FAILED
    assert bench.sender.aborted == [1]
    assert bench.second.error is None


def test_an_abort_of_the_scheduler_has_no_token(bench: Bench) -> None:
    bench.rows((1, 0, "a", GOES_ON))
    bench.receiver.on_frame(encode(token_rows((1, 1, -1, FinishReason.ABORT))))
    assert (bench.first.finish_reason, bench.first.num_tokens, bench.first.take_text()) == ("abort", 1, "a")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"nonsense",
        encode(TokenBatch(b"\0" * 8, b"", b"", b"", b"")),
        encode(TokenBatch(b"\0" * 7, b"", b"", b"", b"")),
        encode(token_rows((1, 0, 97, FinishReason.NONE)))[:-3],
    ],
)
def test_garbage_ends_all_streams(bench: Bench, frame: bytes) -> None:
    bench.receiver.on_frame(frame)
    assert bench.first.error is not None
    assert bench.second.error is not None
    assert len(bench.streams) == 0


def test_failed_names_its_reason(bench: Bench) -> None:
    bench.receiver.on_frame(encode(Failed(1, ErrorCode.QUEUE_FULL, "full", 2.0)))
    bench.receiver.on_frame(encode(Failed(99, ErrorCode.QUEUE_FULL, "full")))
    assert bench.first.error is not None
    assert (bench.first.error.code, bench.first.error.retry_after_s) == (ErrorCode.QUEUE_FULL, 2.0)
    assert bench.second.error is None


def test_only_a_changed_epoch_ends_streams(bench: Bench) -> None:
    for epoch in (1, 1):
        bench.receiver.on_frame(encode(Welcome(epoch)))
        assert bench.first.error is None
    bench.receiver.on_frame(encode(Welcome(2)))
    assert bench.first.error is not None
    assert bench.first.error.code is ErrorCode.SCHEDULER_LOST


def test_scores(bench: Bench) -> None:
    stream = ScoreStream(3, StreamGroup(tells_text=False), 2)
    bench.streams.add(stream)
    ids, pairs = np.array([3, 3, 50], "<u8"), np.array([1, 0, 0], "<i4")
    logits = np.array([0.5, -0.5, 9.0], "<f4")
    bench.receiver.on_frame(encode(ScoreBatch(ids.tobytes(), pairs.tobytes(), logits.tobytes())))
    assert stream.logits.tolist() == [-0.5, 0.5]
    assert bench.streams.get(3) is None
