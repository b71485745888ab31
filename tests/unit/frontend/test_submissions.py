"""Streams that outlive their scheduler: who is submitted when, under which number, how often, and until when."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from frontend.stream import MAX_IN_VAIN, MAX_QUICK_IN_VAIN, QUICK_S
from frontend.submissions import MAX_SUBMISSIONS_A_TURN
from frontend.token_stream import TokenStream
from ipc.codec import encode
from ipc.errors import ErrorCode, RequestError
from ipc.messages import FinishReason, SubmitGenerate, SubmitScore, Welcome
from tests.support.frontend_streams import FrontendCore, pairs_of, score_stream, text_of, token_stream
from tests.support.scripted_scheduler import score_rows, token_rows

DEADLINE_S = 10.0
GOES_ON, LENGTH = FinishReason.NONE, FinishReason.LENGTH


def on_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Runs a test on an event loop of its own."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), DEADLINE_S))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


def opened(core: FrontendCore, *prompts: str) -> list[TokenStream]:
    streams = [token_stream(prompt=prompt) for prompt in prompts]
    for stream in streams:
        core.submissions.open(stream)
    return streams


def token(core: FrontendCore, stream: TokenStream, char: str, finish: FinishReason = GOES_ON) -> None:
    core.take(token_rows((stream.stream_id, stream.num_tokens, ord(char), finish)))


def code_of(stream: TokenStream) -> ErrorCode:
    assert isinstance(stream.error, RequestError)
    return stream.error.code


@on_loop
async def test_open_streams_go_on_with_the_next_scheduler_in_order() -> None:
    core = FrontendCore()
    first, second, third = opened(core, "p1", "p2", "p3")
    token(core, second, "x")
    token(core, third, "y", LENGTH)
    old_numbers = [first.stream_id, second.stream_id]
    core.sender.take(SubmitGenerate)
    core.lose_scheduler(2)
    again = core.sender.take(SubmitGenerate)
    assert [(text_of(r), r.num_output, r.resumes) for r in again] == [("p1", 0, True), ("p2x", 1, True)]
    assert [r.stream_id for r in again] == [first.stream_id, second.stream_id]
    assert not {r.stream_id for r in again} & set(old_numbers)
    assert core.sender.num_links == 2
    core.take(token_rows((old_numbers[1], 1, ord("!"), GOES_ON)))  # late news of the dead one
    token(core, second, "z", LENGTH)
    assert (second.take_text(), second.finish_reason) == ("xz", "length")


@on_loop
async def test_what_the_dead_scheduler_had_sent_counts() -> None:
    core = FrontendCore()
    first, second = opened(core, "p1", "p2")
    core.sender.take(SubmitGenerate)
    rows = (first.stream_id, 0, ord("a"), GOES_ON), (second.stream_id, 0, ord("b"), LENGTH)
    core.sender.rest = [encode(token_rows(*rows))]
    core.lose_scheduler(2)
    assert [text_of(r) for r in core.sender.take(SubmitGenerate)] == ["p1a"]
    assert second.finish_reason == "length"


@on_loop
async def test_a_stream_opened_in_the_gap_is_submitted_once() -> None:
    core = FrontendCore()
    core.receiver.scheduler_gone(2)
    [stream] = opened(core, "late")
    assert core.sender.take(SubmitGenerate) == []
    core.receiver.scheduler_gone(3)  # the successor died before it said anything
    core.take(Welcome(3))
    core.take(Welcome(3))  # an answer to another Hello
    [record] = core.sender.take(SubmitGenerate)
    assert (text_of(record), record.resumes, record.stream_id) == ("late", False, stream.stream_id)


@on_loop
async def test_who_left_in_the_gap_is_not_submitted() -> None:
    core = FrontendCore()
    first, second = opened(core, "p1", "p2")
    core.sender.take(SubmitGenerate)
    core.receiver.scheduler_gone(2)
    core.submissions.close([first])
    core.take(Welcome(2))
    assert [text_of(r) for r in core.sender.take(SubmitGenerate)] == ["p2"]
    assert core.sender.aborted() == []  # nobody knows it
    core.submissions.close([second])
    assert core.sender.aborted() == [second.stream_id]


@on_loop
async def test_a_full_link_is_tried_again_and_loses_none() -> None:
    core = FrontendCore()
    streams = opened(core, *(f"p{number}" for number in range(MAX_SUBMISSIONS_A_TURN + 50)))
    core.sender.take(SubmitGenerate)
    core.receiver.scheduler_gone(2)
    core.sender.room = 10
    core.take(Welcome(2))
    assert len(core.sender.take(SubmitGenerate)) == 10
    core.submissions.close([streams[20]])  # left while it waited for room
    with pytest.raises(RequestError, match="overloaded"):
        core.submissions.open(token_stream(prompt="new"))  # must not overtake them
    core.sender.room = 1 << 30
    again: list[SubmitGenerate] = []
    while len(again) < len(streams) - 11:
        await asyncio.sleep(0.001)  # the timer of the sender is the event
        again += core.sender.take(SubmitGenerate)
    expected = [f"p{number}" for number in range(10, len(streams)) if number != 20]
    assert [text_of(record) for record in again] == expected


@on_loop
async def test_who_comes_while_many_are_submitted_again_goes_behind_them() -> None:
    """More streams than one turn of the loop submits; the link has room."""
    core = FrontendCore()
    streams = opened(core, *(f"p{number}" for number in range(MAX_SUBMISSIONS_A_TURN + 1)))
    core.sender.take(SubmitGenerate)
    core.lose_scheduler(2)
    assert len(core.sender.take(SubmitGenerate)) == MAX_SUBMISSIONS_A_TURN
    opened(core, "new")
    again: list[SubmitGenerate] = []
    while len(again) < 2:
        await asyncio.sleep(0)
        again += core.sender.take(SubmitGenerate)
    assert [(text_of(record), record.resumes) for record in again] == [(f"p{len(streams) - 1}", True), ("new", False)]


@on_loop
async def test_no_successor_in_time_ends_each_with_one_error() -> None:
    core = FrontendCore(resume_timeout_s=0.01)
    first, second = opened(core, "p1", "p2")
    token(core, first, "a")
    core.receiver.scheduler_gone(2)
    while len(core.streams):
        await asyncio.sleep(0.001)
    assert [code_of(stream) for stream in (first, second)] == [ErrorCode.SCHEDULER_LOST] * 2
    core.sender.take(SubmitGenerate)
    core.take(Welcome(2))
    assert core.sender.take(SubmitGenerate) == []
    [late] = opened(core, "p3")
    assert late.error is None


@on_loop
async def test_a_welcome_in_time_stops_the_clock() -> None:
    core = FrontendCore()
    [stream] = opened(core, "p1")
    core.receiver.scheduler_gone(2)
    assert core.submissions._deadline is not None
    core.take(Welcome(2))
    assert core.submissions._deadline is None
    assert stream.error is None


@on_loop
async def test_a_stream_that_gets_nothing_from_several_schedulers_fails() -> None:
    core = FrontendCore()
    poison, other = opened(core, "poison", "other")
    for epoch in range(2, 2 + MAX_QUICK_IN_VAIN):
        core.lose_scheduler(epoch)
        token(core, other, "x")
        assert poison.error is None
    core.lose_scheduler(2 + MAX_QUICK_IN_VAIN)
    assert code_of(poison) is ErrorCode.SCHEDULER_LOST
    assert other.error is None
    assert len(core.streams) == 1


@on_loop
async def test_a_stream_that_only_waited_may_try_for_long() -> None:
    """Schedulers that live for a while before they die are not killed by what they have not begun."""
    core = FrontendCore()
    [stream] = opened(core, "p")
    for epoch in range(2, 2 + MAX_IN_VAIN):
        stream._submitted_at -= QUICK_S
        core.lose_scheduler(epoch)
        assert stream.error is None
    core.lose_scheduler(2 + MAX_IN_VAIN)
    assert code_of(stream) is ErrorCode.SCHEDULER_LOST


@on_loop
async def test_each_token_starts_the_count_again() -> None:
    core = FrontendCore()
    [stream] = opened(core, "p")
    for epoch in range(2, 12):
        core.lose_scheduler(epoch)
        if epoch % MAX_QUICK_IN_VAIN == 0:
            token(core, stream, "x")
    assert stream.error is None


@on_loop
async def test_an_unsubmitted_stream_was_not_in_vain() -> None:
    """Schedulers that die before they say Welcome have never seen it."""
    core = FrontendCore()
    [stream] = opened(core, "p")
    for epoch in range(2, 12):
        core.receiver.scheduler_gone(epoch)
    core.take(Welcome(11))
    assert stream.error is None
    assert stream.resubmissions_in_vain == 1


@on_loop
async def test_news_of_a_death_may_come_after_the_successor() -> None:
    core = FrontendCore()
    [stream] = opened(core, "p")
    core.sender.take(SubmitGenerate)
    core.take(Welcome(2))  # of another epoch: its predecessor is gone
    assert core.sender.num_links == 2
    core.take(Welcome(2))
    assert len(core.sender.take(SubmitGenerate)) == 1
    core.receiver.scheduler_gone(2)
    assert core.sender.num_links == 2
    assert core.sender.take(SubmitGenerate) == []
    assert stream.error is None


@on_loop
async def test_scores_are_asked_for_pair_by_pair() -> None:
    core = FrontendCore()
    stream = score_stream([[1], [2], [3]])
    core.submissions.open(stream)
    [first] = core.sender.take(SubmitScore)
    core.take(score_rows((stream.stream_id, 1, 0.5)))
    core.lose_scheduler(2)
    [second] = core.sender.take(SubmitScore)
    assert (pairs_of(second), second.resumes) == ([[1], [3]], True)
    core.take(score_rows((first.stream_id, 0, 9.0)))  # of the dead scheduler
    core.take(score_rows((second.stream_id, 1, 1.5), (second.stream_id, 0, 2.5), (second.stream_id, 1, 9.0)))
    assert stream.is_finished
    assert stream.scores.tolist() == [2.5, 0.5, 1.5]
    assert len(core.streams) == 0


@on_loop
async def test_stopping_ends_what_waits_too() -> None:
    core = FrontendCore()
    first, _ = opened(core, "p1", "p2")
    core.receiver.scheduler_gone(2)
    core.submissions.fail_all(ErrorCode.SHUTTING_DOWN, "stopped")
    assert code_of(first) is ErrorCode.SHUTTING_DOWN
    core.sender.take(SubmitGenerate)
    core.take(Welcome(2))
    assert core.sender.take(SubmitGenerate) == []
