"""What the frontend makes of frames: each token once, and no stream ever has a gap."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec import structs

from frontend.byte_tokenizer import ByteTokenizer
from frontend.drawn_logprobs import spell
from frontend.output_tokens import OutputToken
from frontend.score_stream import ScoreStream
from frontend.stream import MAX_QUICK_IN_VAIN
from frontend.stream_group import StreamGroup
from frontend.token_stream import TokenStream
from ipc.codec import encode
from ipc.errors import ErrorCode, RequestError
from ipc.messages import Failed, FinishReason, ScoreBatch, SubmitGenerate, SubmitScore, TokenBatch, Welcome
from tests.support.frontend_streams import FrontendCore, score_stream, text_of, token_stream
from tests.support.scripted_scheduler import prompt_rows, score_rows, token_rows, with_logprobs


class Bench(FrontendCore):
    """Two open token streams, 1 and 2; stream 2 stops at "x"."""

    def __init__(self) -> None:
        super().__init__()
        self.first = token_stream(choice=0)
        self.second = token_stream(choice=1, stops=("x",))
        for stream in (self.first, self.second):
            self.submissions.open(stream)
        self.sender.take(SubmitGenerate)

    def rows(self, *rows: tuple[int, int, str, FinishReason]) -> None:
        self.take(token_rows(*((stream_id, position, ord(char), end) for stream_id, position, char, end in rows)))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """On a loop that does not run: timers are set, and nothing waits for them."""
    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)
    yield Bench()
    asyncio._set_running_loop(None)
    loop.close()


GOES_ON, LENGTH = FinishReason.NONE, FinishReason.LENGTH


def code_of(stream: TokenStream) -> ErrorCode:
    assert isinstance(stream.error, RequestError)
    return stream.error.code


def test_rows_reach_their_streams(bench: Bench) -> None:
    bench.rows((2, 0, "b", GOES_ON), (1, 0, "a", GOES_ON), (77, 0, "c", GOES_ON))
    bench.rows((1, 1, "A", LENGTH))
    assert (bench.first.take_text(), bench.second.take_text()) == ("aA", "b")
    assert bench.first.finish_reason == "length"
    assert len(bench.streams) == 1
    assert bench.sender.aborted() == []


def test_a_stop_string_ends_the_work_at_the_scheduler(bench: Bench) -> None:
    bench.rows((2, 0, "x", GOES_ON))
    assert bench.sender.aborted() == [2]
    bench.rows((2, 1, "y", GOES_ON))  # was under way
    assert bench.second.take_text() == ""
    assert bench.second.num_tokens == 1


def test_a_stop_string_in_the_last_token_needs_no_abort(bench: Bench) -> None:
    bench.rows((2, 0, "x", LENGTH))
    assert (bench.second.finish_reason, bench.second.stop_reason) == ("stop", "x")
    assert bench.sender.aborted() == []


def test_a_token_that_comes_twice_counts_once(bench: Bench) -> None:
    bench.rows((1, 0, "a", GOES_ON))
    bench.rows((1, 0, "a", GOES_ON), (1, 1, "b", GOES_ON))
    assert bench.first.take_text() == "ab"


def test_a_missing_token_is_asked_for_again(bench: Bench) -> None:
    bench.rows((1, 0, "a", GOES_ON), (2, 0, "b", GOES_ON))
    bench.rows((1, 2, "c", GOES_ON))
    assert bench.sender.aborted() == [1]
    [record] = bench.sender.take(SubmitGenerate)
    assert (text_of(record), record.num_output, record.stream_id) == ("prompta", 1, bench.first.stream_id)
    bench.rows((1, 3, "d", GOES_ON), (record.stream_id, 1, "B", LENGTH))
    assert (bench.first.take_text(), bench.first.finish_reason) == ("aB", "length")
    assert bench.sender.num_links == 1  # the others go on
    assert bench.second.stream_id == 2


def test_a_token_that_never_comes_ends_the_stream(bench: Bench) -> None:
    for _ in range(MAX_QUICK_IN_VAIN + 1):
        assert bench.first.error is None
        bench.rows((bench.first.stream_id, 1, "b", GOES_ON))
    assert code_of(bench.first) is ErrorCode.STEP_FAILED
    assert bench.second.error is None
    assert bench.streams.in_order() == [bench.second]
    assert len(bench.sender.aborted()) == MAX_QUICK_IN_VAIN + 1


def test_a_complete_grammar_ends_a_stream_without_a_token(bench: Bench) -> None:
    bench.rows((1, 0, "a", GOES_ON))
    bench.take(token_rows((1, 1, -1, FinishReason.STOP)))
    assert (bench.first.finish_reason, bench.first.num_tokens, bench.first.take_text()) == ("stop", 1, "a")


def test_an_end_whose_last_token_is_missing_is_asked_for_again(bench: Bench) -> None:
    bench.take(token_rows((1, 1, -1, FinishReason.STOP)))
    assert bench.first.finish_reason is None
    [record] = bench.sender.take(SubmitGenerate)
    assert record.num_output == 0


def asking(bench: Bench, num_logprobs: int, num_prompt_logprobs: int = -1, prompt: str = "abc") -> TokenStream:
    stream = token_stream(prompt=prompt, num_logprobs=num_logprobs, num_prompt_logprobs=num_prompt_logprobs)
    bench.submissions.open(stream)
    bench.sender.take(SubmitGenerate)
    return stream


def test_logprobs_reach_those_who_asked(bench: Bench) -> None:
    asks = asking(bench, 1)
    rows = token_rows((1, 0, 97, GOES_ON), (asks.stream_id, 0, 98, GOES_ON))
    bench.take(with_logprobs(rows, 2, (-0.5, 1, [(97, -0.5)]), (-1.5, 2, [(99, -0.25), (98, -1.5)])))
    bench.rows((1, 1, "a", LENGTH))  # a batch in which nobody asked
    assert bench.first.take_tokens() == []
    assert asks.take_tokens() == [OutputToken(98, b"b", -1.5, 2, [(99, -0.25)], 0)]


def test_prompt_logprobs_of_two_schedulers_count_once(bench: Bench) -> None:
    stream = asking(bench, -1, num_prompt_logprobs=0)
    bench.take(prompt_rows(stream.stream_id, 1, -1.0))
    bench.lose_scheduler(2)
    again = bench.sender.take(SubmitGenerate)[-1]
    assert again.num_prompt_logprobs == 0
    bench.take(prompt_rows(stream.stream_id, 1, -1.0, -2.0))
    bench.take(token_rows((stream.stream_id, 0, 97, GOES_ON)))
    bench.lose_scheduler(3)
    again = bench.sender.take(SubmitGenerate)[-1]
    assert (again.num_prompt_logprobs, again.num_output) == (-1, 1)
    assert stream.prompt_columns is not None
    told = stream.prompt_columns.tokens(spell([97, 98, 99], ByteTokenizer(), frozenset()), ByteTokenizer(), 0)
    assert [token.logprob for token in told] == [None, -1.0, -2.0]


@pytest.mark.parametrize("position", [0, 2])
def test_missing_prompt_logprobs_are_asked_for_again(bench: Bench, position: int) -> None:
    """Whether the first token or a later part of the prompt shows that they are missing."""
    stream = asking(bench, -1, num_prompt_logprobs=0)
    bench.take(
        prompt_rows(stream.stream_id, position, -2.0) if position else token_rows((stream.stream_id, 0, 97, GOES_ON))
    )
    [again] = bench.sender.take(SubmitGenerate)
    assert (again.num_prompt_logprobs, again.num_output) == (0, 0)
    assert stream.error is None


def test_an_abort_of_the_scheduler_has_no_token(bench: Bench) -> None:
    bench.rows((1, 0, "a", GOES_ON))
    bench.take(token_rows((1, 1, -1, FinishReason.ABORT)))
    assert (bench.first.finish_reason, bench.first.num_tokens, bench.first.take_text()) == ("abort", 1, "a")


def test_rows_of_several_numbers(bench: Bench) -> None:
    stream = ScoreStream(score_stream([[1], [2]]).submission(), StreamGroup(tells_text=False), num_labels=2)
    bench.submissions.open(stream)
    ids = np.array([stream.stream_id] * 2, "<u8").tobytes()
    bench.take(ScoreBatch(ids, np.array([1, 0], "<i4").tobytes(), np.array([[1, 2], [3, 4]], "<f4").tobytes()))
    assert stream.logits.tolist() == [[3.0, 4.0], [1.0, 2.0]]


@pytest.mark.parametrize("num_numbers", [1, 3])
def test_rows_of_another_width_are_garbage(bench: Bench, num_numbers: int) -> None:
    stream = ScoreStream(score_stream([[1]]).submission(), StreamGroup(tells_text=False), num_labels=2)
    bench.submissions.open(stream)
    ids, indexes = np.array([stream.stream_id], "<u8").tobytes(), np.array([0], "<i4").tobytes()
    bench.take(ScoreBatch(ids, indexes, np.zeros(num_numbers, "<f4").tobytes()))
    bench.take(Welcome(1))
    assert not stream.num_received
    assert bench.sender.take(SubmitScore)[-1].resumes


GARBAGE = [
    b"",
    b"nonsense",
    encode(TokenBatch(b"\0" * 8, b"", b"", b"", b"")),
    encode(TokenBatch(b"\0" * 7, b"", b"", b"", b"")),
    encode(token_rows((1, 0, 97, FinishReason.NONE)))[:-3],
    encode(TokenBatch((1).to_bytes(8, "little"), bytes(4), (97).to_bytes(4, "little"), bytes(1), bytes(8))),
    encode(structs.replace(token_rows((1, 0, 97, FinishReason.NONE)), logprobs=bytes(8))),
]


@pytest.mark.parametrize("frame", GARBAGE)
def test_garbage_begins_all_streams_anew(bench: Bench, frame: bytes) -> None:
    bench.rows((1, 0, "a", GOES_ON))
    bench.receiver.on_frame(frame)
    bench.take(Welcome(1))
    assert [text_of(record) for record in bench.sender.take(SubmitGenerate)] == ["prompta", "prompt"]
    bench.rows((bench.first.stream_id, 1, "b", LENGTH))
    assert bench.first.take_text() == "ab"


def test_nothing_but_garbage_ends_all_streams(bench: Bench) -> None:
    for _ in range(MAX_QUICK_IN_VAIN + 1):
        assert len(bench.streams) == 2
        bench.receiver.on_frame(b"nonsense")
        bench.receiver.on_frame(b"nonsense")  # while nothing is submitted nothing can be lost
        bench.take(Welcome(1))
    assert code_of(bench.first) is code_of(bench.second) is ErrorCode.STEP_FAILED


def test_garbage_on_an_idle_link_is_only_logged(bench: Bench) -> None:
    bench.submissions.close([bench.first, bench.second])
    bench.receiver.on_frame(b"nonsense")
    assert bench.sender.num_links == 1


def test_failed_names_its_reason(bench: Bench) -> None:
    bench.take(Failed(1, ErrorCode.QUEUE_FULL, "full", 2.0))
    bench.take(Failed(99, ErrorCode.QUEUE_FULL, "full"))
    assert isinstance(bench.first.error, RequestError)
    assert (bench.first.error.code, bench.first.error.retry_after_s) == (ErrorCode.QUEUE_FULL, 2.0)
    assert bench.second.error is None


def test_what_could_not_be_delivered_is_asked_for_again(bench: Bench) -> None:
    """The scheduler could not reach this frontend for a while, closed its streams, and says so when it can again."""
    bench.rows((1, 0, "a", GOES_ON))
    bench.take(Failed(1, ErrorCode.SCHEDULER_LOST, "tokens could not be delivered"))
    assert [text_of(record) for record in bench.sender.take(SubmitGenerate)] == ["prompta"]
    assert bench.first.error is None


def test_only_a_changed_epoch_means_another_scheduler(bench: Bench) -> None:
    bench.take(Welcome(1))
    assert bench.sender.num_links == 1
    bench.take(Welcome(2))
    assert bench.sender.num_links == 2
    assert bench.sender.take(SubmitGenerate) == []  # it must say Welcome on the new link
    bench.take(Welcome(2))
    assert len(bench.sender.take(SubmitGenerate)) == 2


def test_scores(bench: Bench) -> None:
    stream = score_stream([[1], [2]])
    bench.submissions.open(stream)
    bench.take(score_rows((stream.stream_id, 1, 0.5), (stream.stream_id, 0, -0.5), (50, 0, 9.0)))
    assert stream.scores.tolist() == [-0.5, 0.5]
    assert bench.streams.get(stream.stream_id) is None


class Panic(BaseException):
    """What pyo3 raises for a panic in Rust: no Exception."""


class BrokenDetokenizer:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def push(self, token_id: int) -> str:
        raise self._error


@pytest.mark.parametrize("error", [ValueError("bug"), Panic("index out of bounds")])
def test_a_bug_in_one_streams_text_ends_it_alone(bench: Bench, error: BaseException) -> None:
    broken = token_stream(detokenizer=BrokenDetokenizer(error))
    bench.submissions.open(broken)
    bench.rows((1, 0, "a", GOES_ON), (broken.stream_id, 0, "c", GOES_ON), (2, 0, "b", GOES_ON))
    assert broken.error is error
    assert bench.sender.aborted() == [broken.stream_id]
    assert (bench.first.take_text(), bench.second.take_text()) == ("a", "b")
    assert bench.streams.in_order() == [bench.first, bench.second]
    bench.rows((1, 1, "A", LENGTH), (2, 1, "B", LENGTH))
    assert (bench.first.finish_reason, bench.second.finish_reason) == ("length", "length")


def test_what_must_pass_passes(bench: Bench) -> None:
    broken = token_stream(detokenizer=BrokenDetokenizer(KeyboardInterrupt()))
    bench.submissions.open(broken)
    with pytest.raises(KeyboardInterrupt):
        bench.rows((broken.stream_id, 0, "c", GOES_ON))
