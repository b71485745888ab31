"""The scheduler dies while requests are open: its successor gets what is missing, and clients notice a pause."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from msgspec import Struct

from frontend.stream import MAX_QUICK_IN_VAIN
from ipc.control_messages import SchedulerGone
from ipc.errors import ErrorCode
from ipc.messages import Failed, FinishReason, SubmitGenerate, SubmitScore, Welcome
from tests.support.frontend_streams import pairs_of, text_of
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest
from tests.support.scripted_scheduler import Answer, ScriptedScheduler, score_rows, token_rows, tokens_of

pytestmark = pytest.mark.process

TEXT = "a story that is longer than the life of a scheduler"
Pair = tuple[FrontendUnderTest, ScriptedScheduler]
Post = Callable[..., "Future[httpx.Response]"]


@pytest.fixture
def frontend(own_pair: Pair) -> FrontendUnderTest:
    return own_pair[0]


@pytest.fixture
def scheduler(own_pair: Pair) -> ScriptedScheduler:
    return own_pair[1]


@pytest.fixture
def succeed(
    runtime_dir: Path, frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> Iterator[Callable[..., ScriptedScheduler]]:
    """The running scheduler dies, the supervisor says so, and another one is there."""
    lives = [scheduler]

    def start(answer: Answer, says_so: bool = True) -> ScriptedScheduler:
        lives[-1].close()
        if says_so:
            frontend.link.send(SchedulerGone(len(lives) + 1))
        lives.append(ScriptedScheduler(runtime_dir, epoch=len(lives) + 1, answer=answer))
        return lives[-1]

    yield start
    for life in lives:
        life.close()


@pytest.fixture
def post(frontend: FrontendUnderTest) -> Iterator[Post]:
    """Sends a request from a thread."""
    with ThreadPoolExecutor(8) as pool:

        def send(path: str, **body: Any) -> "Future[httpx.Response]":
            return pool.submit(httpx.post, f"{frontend.url}{path}", json=body, timeout=DEADLINE_S)

        yield send


def tells(upto: int, finish: FinishReason = FinishReason.NONE) -> Answer:
    """Goes on with TEXT after what the prompt holds of it already, up to character `upto`, whose row says `finish`."""

    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitGenerate):
            if record.num_output:
                assert text_of(record).endswith(TEXT[: record.num_output])
            for position in range(record.num_output, upto):
                ends = finish if position == upto - 1 else FinishReason.NONE
                yield token_rows((record.stream_id, position, tokens_of(TEXT)[position], ends), num_cached=position)

    return answer


tells_all = tells(len(TEXT), FinishReason.LENGTH)


def scores(only: int | None = None) -> Answer:
    """A pair's score is its first token; `only` so many pairs are answered."""

    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitScore):
            for index, pair in list(enumerate(pairs_of(record)))[:only]:
                yield score_rows((record.stream_id, index, float(pair[0])))

    return answer


def streamed_text(reply: httpx.Response) -> tuple[dict[int, str], dict[str, Any]]:
    """The text of each choice, and the usage. No error may be among the events."""
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    texts: dict[int, str] = {}
    for event in events:
        for choice in event["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
    return texts, events[-1]["usage"]


def test_every_kind_of_request_goes_on(
    scheduler: ScriptedScheduler, succeed: Callable[..., ScriptedScheduler], post: Post
) -> None:
    scheduler.answer = tells(7)
    plain = post("/v1/completions", prompt="plain", max_tokens=100)
    scheduler.next(SubmitGenerate)
    options = {"include_usage": True}
    streamed = post("/v1/completions", prompt="streamed", max_tokens=100, n=2, stream=True, stream_options=options)
    first, second = scheduler.next(SubmitGenerate), scheduler.next(SubmitGenerate)
    scheduler.answer = scores(only=1)
    scored = post("/v1/score", text_1="q", text_2=["1", "2", "3"])
    scheduler.next(SubmitScore)

    for upto in (20, 33):  # two more die at it
        successor = succeed(tells(upto))
        again = [successor.next(SubmitGenerate) for _ in range(3)]
        assert all(record.resumes for record in again)
        assert {record.sampling.seed for record in again} >= {first.sampling.seed, second.sampling.seed}
        assert pairs_of(successor.next(SubmitScore))
    succeed(lambda record: [*tells_all(record), *scores()(record)])
    whole = plain.result(DEADLINE_S).json()
    assert (whole["choices"][0]["text"], whole["choices"][0]["finish_reason"]) == (TEXT, "length")
    assert whole["usage"]["prompt_tokens"] == len("plain")
    assert whole["usage"]["completion_tokens"] == len(TEXT)
    assert whole["usage"]["prompt_tokens_details"]["cached_tokens"] == 0  # of the first life
    texts, usage = streamed_text(streamed.result(DEADLINE_S))
    assert texts == {0: TEXT, 1: TEXT}
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (len("streamed"), 2 * len(TEXT))
    numbers = [one["score"][0] for one in scored.result(DEADLINE_S).json()["data"]]
    assert numbers == pytest.approx([1 / (1 + np.exp(-float(ord("q"))))] * 3)


def test_pairs_are_scored_once(
    scheduler: ScriptedScheduler, succeed: Callable[..., ScriptedScheduler], post: Post
) -> None:
    scheduler.answer = scores(only=2)
    scored = post("/v1/score", text_1=["\x01", "\x02", "\x03", "\x04"], text_2=["x"] * 4)
    scheduler.next(SubmitScore)
    successor = succeed(scores())
    record = successor.next(SubmitScore)
    assert [pair[0] for pair in pairs_of(record)] in ([3, 4], [1, 2, 3, 4])  # had it heard of the first two?
    numbers = [one["score"][0] for one in scored.result(DEADLINE_S).json()["data"]]
    assert numbers == pytest.approx([1 / (1 + np.exp(-number)) for number in (1.0, 2.0, 3.0, 4.0)])


def test_who_left_in_the_gap_is_not_submitted(
    runtime_dir: Path, frontend: FrontendUnderTest, scheduler: ScriptedScheduler, post: Post
) -> None:
    scheduler.answer = tells(7)
    with httpx.stream(
        "POST", f"{frontend.url}/v1/completions", json={"prompt": "leaver", "stream": True}, timeout=DEADLINE_S
    ) as leaver:
        next(leaver.iter_lines())
        stays = post("/v1/completions", prompt="stays", max_tokens=100)
        scheduler.next(SubmitGenerate)
        scheduler.next(SubmitGenerate)
        scheduler.close()
        frontend.link.send(SchedulerGone(2))
    while frontend.counted("zerolane_client_disconnects_total") < 1:
        assert httpx.get(f"{frontend.url}/health").status_code == 200
    successor = ScriptedScheduler(runtime_dir, epoch=2, answer=tells_all)
    try:
        assert stays.result(DEADLINE_S).json()["choices"][0]["text"] == TEXT
        assert text_of(successor.next(SubmitGenerate)).startswith("stays")
        assert successor.received.empty()
    finally:
        successor.close()


def test_a_request_sent_to_the_dead_scheduler(
    runtime_dir: Path, frontend: FrontendUnderTest, scheduler: ScriptedScheduler, post: Post
) -> None:
    """It is queued for the dead one, and the link reconnects by itself before the news come: the successor gets it by
    the old link, and once more by the new one."""
    scheduler.close()
    plain = post("/v1/completions", prompt="plain", max_tokens=100)
    successor = ScriptedScheduler(runtime_dir, epoch=2, answer=tells(5))
    try:
        leaked = successor.next(SubmitGenerate)
        successor.answer = tells_all
        frontend.link.send(SchedulerGone(2))
        again = successor.next(SubmitGenerate)
        assert plain.result(DEADLINE_S).json()["choices"][0]["text"] == TEXT
        assert again.stream_id != leaked.stream_id
    finally:
        successor.close()


def test_another_epoch_without_news_of_a_death(scheduler: ScriptedScheduler, post: Post) -> None:
    scheduler.answer = tells(7)
    plain = post("/v1/completions", prompt="plain", max_tokens=100)
    scheduler.next(SubmitGenerate)
    scheduler.answer = tells_all
    scheduler.epoch = 2
    scheduler.send(Welcome(2))
    assert plain.result(DEADLINE_S).json()["choices"][0]["text"] == TEXT
    assert scheduler.next(SubmitGenerate).resumes


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_may_kill_schedulers_ends_with_one_error(
    succeed: Callable[..., ScriptedScheduler], scheduler: ScriptedScheduler, post: Post, stream: bool
) -> None:
    scheduler.answer = tells(2)
    reply = post("/v1/completions", prompt="poison", max_tokens=100, stream=stream)
    scheduler.next(SubmitGenerate)
    life = succeed(tells(4))
    for _ in range(MAX_QUICK_IN_VAIN + 1):
        life.next(SubmitGenerate)
        life = succeed(tells(0))
    life.next(SubmitGenerate)
    last = succeed(tells_all)
    if not stream:
        assert reply.result(DEADLINE_S).status_code == 503
        assert reply.result().json()["error"]["code"] == "scheduler_lost"
        assert int(reply.result().headers["retry-after"]) >= 1
    else:
        *events, error, done = [line for line in reply.result(DEADLINE_S).text.split("\n\n") if line]
        assert "".join(json.loads(event[6:])["choices"][0]["text"] for event in events) == TEXT[:4]
        assert json.loads(error[6:])["error"]["code"] == "scheduler_lost"
        assert done == "data: [DONE]"
    assert post("/v1/completions", prompt="others", max_tokens=100).result().json()["choices"][0]["text"] == TEXT
    assert text_of(last.next(SubmitGenerate)) == "others"


@pytest.mark.parametrize("stream", [False, True])
def test_a_crash_loop_of_workers_is_a_500(scheduler: ScriptedScheduler, post: Post, stream: bool) -> None:
    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitGenerate):
            if stream:
                yield token_rows((record.stream_id, 0, ord("a"), FinishReason.NONE))
            yield Failed(record.stream_id, ErrorCode.WORKER_CRASH_LOOP, "3 workers died")

    scheduler.answer = answer
    reply = post("/v1/completions", prompt="poison", stream=stream).result(DEADLINE_S)
    if stream and reply.status_code == 200:
        errors = [line for line in reply.text.split("\n\n") if '"error"' in line]
        [error] = [json.loads(line[6:])["error"] for line in errors]
    else:
        assert reply.status_code == 500
        error = reply.json()["error"]
    assert (error["type"], error["code"], error["message"]) == ("server_error", "worker_crash_loop", "3 workers died")
