"""Streams gather text until their reader takes it, end once, and know how to be submitted again."""

import asyncio
import math

import pytest

from frontend.drawn_logprobs import Drawn
from frontend.stream_group import StreamGroup
from frontend.token_stream import TokenStream
from ipc.messages import FinishReason
from tests.support.frontend_streams import text_of, token_stream
from tests.support.scripted_scheduler import prompt_rows


def new_group(tells_text: bool = True) -> StreamGroup[TokenStream]:
    return StreamGroup(tells_text)


def make_stream(group: StreamGroup[TokenStream] | None = None, stops: tuple[str, ...] = ()) -> TokenStream:
    return token_stream(group, stops=stops, stop_token_ids=(ord("Z"),))


def push(stream: TokenStream, text: str, finish: FinishReason = FinishReason.NONE) -> None:
    token_ids = text.encode()
    for number, token_id in enumerate(token_ids):
        is_last = number == len(token_ids) - 1
        stream.push(token_id, finish if is_last else FinishReason.NONE, 0)


async def news(group: StreamGroup[TokenStream]) -> list[TokenStream]:
    async with asyncio.timeout(1):
        return await group.changed()


def test_a_slow_reader_gets_one_larger_delta() -> None:
    async def run() -> None:
        group = new_group()
        stream = make_stream(group)
        push(stream, "several tokens")
        assert await news(group) == [stream]
        assert stream.take_text() == "several tokens"
        assert stream.take_text() == ""

    asyncio.run(run())


def test_a_waiting_reader_is_woken_by_text_and_not_by_half_a_character() -> None:
    async def run() -> None:
        group = new_group()
        stream = make_stream(group)
        reader = asyncio.create_task(group.changed())
        stream.push("é".encode()[0], FinishReason.NONE, 0)
        await asyncio.sleep(0)
        assert not reader.done()
        stream.push("é".encode()[1], FinishReason.NONE, 0)
        assert await reader == [stream]
        assert stream.take_text() == "é"

    asyncio.run(run())


def test_only_the_end_is_news_when_nobody_wants_parts() -> None:
    async def run() -> None:
        group = new_group(tells_text=False)
        stream = make_stream(group)
        reader = asyncio.create_task(group.changed())
        push(stream, "abc")
        await asyncio.sleep(0)
        assert not reader.done()
        push(stream, "d", FinishReason.LENGTH)
        assert await reader == [stream]
        assert (stream.take_text(), stream.finish_reason, stream.num_tokens) == ("abcd", "length", 4)

    asyncio.run(run())


def test_a_new_number_makes_no_second_news() -> None:
    """News were kept by number before: a stream that was submitted again ended twice for its reader."""

    async def run() -> None:
        group = new_group()
        stream = make_stream(group)
        stream.stream_id = 1
        push(stream, "a")
        stream.stream_id = 2
        push(stream, "b", FinishReason.LENGTH)
        assert await news(group) == [stream]

    asyncio.run(run())


def test_held_back_text_is_delivered_at_the_end() -> None:
    stream = make_stream(stops=("stop",))
    push(stream, "a st", FinishReason.LENGTH)
    assert stream.take_text() == "a st"


def test_stop_string() -> None:
    stream = make_stream(stops=("stop",))
    push(stream, "a stop")
    assert (stream.take_text(), stream.finish_reason, stream.stop_reason) == ("a ", "stop", "stop")
    assert stream.is_finished


def test_stop_token_is_counted_but_not_shown() -> None:
    for token_id, stop_reason in ((256, None), (ord("Z"), ord("Z"))):
        stream = make_stream()
        push(stream, "ab")
        stream.push(token_id, FinishReason.STOP, 0)
        assert (stream.take_text(), stream.finish_reason, stream.stop_reason) == ("ab", "stop", stop_reason)
        assert stream.num_tokens == 3


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    stream = make_stream()
    stream.push(ord("a"), FinishReason.NONE, 0)
    stream.push(0xE6, FinishReason.LENGTH, 0)
    assert stream.take_text() == "a"


def test_the_next_submission_goes_on_after_the_last_token() -> None:
    stream = make_stream()
    first = stream.submission()
    assert (text_of(first), first.num_output, first.resumes) == ("prompt", 0, False)
    stream.submitted()
    push(stream, "ab")
    stream.stream_id = 5
    second = stream.submission()
    assert (second.stream_id, text_of(second), second.num_output, second.resumes) == (5, "promptab", 2, True)
    assert (second.max_tokens, second.sampling) == (first.max_tokens, first.sampling)


def test_cached_tokens_are_those_of_the_first_token() -> None:
    """A later life may find the output in the cache as well, but usage is about the prompt."""
    stream = make_stream()
    stream.push(ord("a"), FinishReason.NONE, 4)
    stream.push(ord("b"), FinishReason.NONE, 64)
    assert stream.num_cached == 4


@pytest.mark.parametrize(("tokens_between", "in_vain"), [("", [0, 1, 2, 3]), ("x", [0, 0, 0, 0])])
def test_resubmissions_without_a_token_are_counted(tokens_between: str, in_vain: list[int]) -> None:
    stream = make_stream()
    counts = []
    for _ in range(4):
        stream.submitted()
        push(stream, tokens_between)
        counts.append(stream.resubmissions_in_vain)
    assert counts == in_vain


def drawn(logprob: float, *top: tuple[int, float]) -> Drawn:
    return Drawn(logprob, 1, list(top))


def test_tokens_keep_what_was_drawn_with_them() -> None:
    """Each with its own bytes, and with the place in the text where they begin."""
    stream = token_stream(num_logprobs=1)
    for token_id in "aé!".encode():
        stream.push(token_id, FinishReason.NONE, 0, drawn(-token_id / 10, (token_id, -0.5)))
    tokens = stream.take_tokens()
    assert [token.text for token in tokens] == [b"a", b"\xc3", b"\xa9", b"!"]
    assert [token.offset for token in tokens] == [0, 1, 1, 2]
    assert [token.logprob for token in tokens] == [-9.7, -19.5, -16.9, -3.3]
    assert tokens[0].top == [(97, -0.5)]
    assert stream.take_tokens() == []


def test_the_stopping_token_is_among_the_tokens() -> None:
    stream = token_stream(num_logprobs=0)
    stream.push(ord("a"), FinishReason.NONE, 0, drawn(-1.0))
    stream.push(256, FinishReason.STOP, 0, drawn(-2.0))
    assert [token.logprob for token in stream.take_tokens()] == [-1.0, -2.0]


def test_a_complete_grammar_ends_without_a_token() -> None:
    stream = make_stream()
    push(stream, "{}")
    stream.push(-1, FinishReason.STOP, 0)
    assert (stream.take_text(), stream.finish_reason, stream.stop_reason, stream.num_tokens) == ("{}", "stop", None, 2)


def test_what_stopped_it_can_be_shown() -> None:
    stream = token_stream(stops=("op",), includes_stop=True)
    push(stream, "stopped")
    assert stream.take_text() == "stop"
    stream = token_stream(stop_token_ids=(ord("Z"),), includes_stop=True)
    push(stream, "aZ", FinishReason.STOP)
    assert (stream.take_text(), stream.stop_reason) == ("aZ", ord("Z"))


def test_the_least_output_is_not_searched_for_stop_strings() -> None:
    stream = token_stream(stops=("x",), min_tokens=3)
    push(stream, "axbcxd")
    assert (stream.take_text(), stream.finish_reason) == ("axbc", "stop")


@pytest.mark.parametrize("finish", [FinishReason.STOP, FinishReason.LENGTH])
def test_a_dropped_output_counts_nothing(finish: FinishReason) -> None:
    stream = token_stream(drops_output=True)
    stream.push(ord("a"), finish, 0)
    assert (stream.take_text(), stream.num_tokens, stream.finish_reason) == ("", 0, "length")


def test_the_mean_logprob_ranks_choices() -> None:
    stream = token_stream(num_logprobs=0)
    assert stream.mean_logprob == -math.inf
    for logprob in (-1.0, -2.0):
        stream.push(ord("a"), FinishReason.NONE, 0, drawn(logprob))
    assert stream.mean_logprob == -1.5


def test_prompt_logprobs_are_asked_for_until_they_have_come() -> None:
    stream = token_stream(prompt="abc", num_prompt_logprobs=2)
    assert stream.push_prompt(prompt_rows(1, 1, -0.5))
    assert (stream.misses_prompt, stream.submission().num_prompt_logprobs) == (True, 2)
    assert stream.push_prompt(prompt_rows(1, 1, -0.5, -1.5))
    assert (stream.misses_prompt, stream.submission().num_prompt_logprobs) == (False, -1)
