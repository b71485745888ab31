"""Responses and messages through a real frontend process: failures, leavers, and what goes on without a client."""

from collections.abc import Iterable
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from msgspec import Struct

from ipc.control_messages import Drain, Drained
from ipc.errors import ErrorCode
from ipc.messages import Abort, Failed, FinishReason, SubmitGenerate
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text, token_rows
from tests.support.served import eventually

pytestmark = pytest.mark.process

Pair = tuple[FrontendUnderTest, ScriptedScheduler]
MESSAGES = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def client(frontend: FrontendUnderTest, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{frontend.url}/v1", api_key=key, max_retries=0, timeout=20)


def aborted(scheduler: ScriptedScheduler) -> list[int]:
    ids: list[int] = np.frombuffer(scheduler.next(Abort).stream_ids, "<u8").tolist()
    return ids


def failure(stream_id: int) -> Failed:
    return Failed(stream_id, ErrorCode.NO_WORKER, "No worker is left.")


def fails(record: Struct) -> Iterable[Struct]:
    if isinstance(record, SubmitGenerate):
        yield failure(record.stream_id)


def says_a(record: Struct) -> Iterable[Struct]:
    if isinstance(record, SubmitGenerate):
        yield token_rows((record.stream_id, 0, ord("a"), FinishReason.NONE))


def test_a_failure_before_the_first_token_has_its_status(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    scheduler.answer = fails
    for stream in (False, True):
        reply = httpx.post(f"{frontend.url}/v1/responses", json={"input": "hi", "stream": stream})
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "no_worker")
        reply = httpx.post(f"{frontend.url}/v1/messages", json=MESSAGES | {"stream": stream})
        assert (reply.status_code, reply.json()["error"]["type"]) == (503, "overloaded_error")


def test_a_failure_in_a_stream_is_its_last_event(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = says_a
    with client(frontend) as api, api.responses.create(input="hi", stream=True) as stream:
        events: list[Any] = [next(iter(stream))]
        scheduler.send(failure(scheduler.next(SubmitGenerate).stream_id))
        events += list(stream)
        last = events[-1]
        assert (last.type, last.response.error.code) == ("response.failed", "server_error")
        assert last.response.output_text == "a"
        with pytest.raises(openai.NotFoundError):
            api.responses.retrieve(last.response.id)
    with httpx.stream("POST", f"{frontend.url}/v1/messages", json=MESSAGES | {"stream": True}) as reply:
        lines = reply.iter_lines()
        assert next(lines) == "event: message_start"
        scheduler.send(failure(scheduler.next(SubmitGenerate).stream_id))
        *_, kind, data = [line for line in lines if line]
    assert kind == "event: error"
    assert '"type":"error","error":{"type":"overloaded_error"' in data


def test_a_background_response_fails_in_the_store(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = fails
    with client(frontend) as api:
        made = api.responses.create(input="hi", background=True)
        eventually(lambda: api.responses.retrieve(made.id).status == "failed", "the failure of a background response")
        followed: list[Any] = list(api.responses.create(input="hi", background=True, stream=True))
        assert [event.type for event in followed][-1] == "response.failed"


def test_who_leaves_gives_up_an_answer_but_not_a_background_one(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    scheduler.answer = says_a
    with client(frontend) as api:
        with api.responses.create(input="hi", stream=True, background=True) as background:
            created: Any = next(iter(background))
        kept = scheduler.next(SubmitGenerate).stream_id
        with api.responses.create(input="hi", stream=True) as foreground:
            next(iter(foreground))
        given_up = scheduler.next(SubmitGenerate).stream_id
        assert aborted(scheduler) == [given_up]
        scheduler.send(token_rows((kept, 1, ord("b"), FinishReason.LENGTH)))
        response_id = created.response.id
        eventually(lambda: api.responses.retrieve(response_id).status == "incomplete", "the background response's end")
        assert api.responses.retrieve(response_id).output_text == "ab"


def test_cancelled_and_deleted_responses_are_given_up(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    with client(frontend) as api:
        for end in (api.responses.cancel, api.responses.delete):
            running = api.responses.create(input="hi", background=True)
            stream_id = scheduler.next(SubmitGenerate).stream_id
            end(running.id)
            assert aborted(scheduler) == [stream_id]


def test_only_the_key_that_made_it_reads_a_response(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("ok")
    with client(frontend, "mine") as mine, client(frontend, "yours") as yours:
        made = mine.responses.create(input="hi", user="anna")
        assert "anna" in scheduler.next(SubmitGenerate).tenant
        assert mine.responses.retrieve(made.id).output_text == "ok"
        for forbidden in (yours.responses.retrieve, yours.responses.delete, yours.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                forbidden(made.id)
        with pytest.raises(openai.BadRequestError, match="not found"):
            yours.responses.create(input="hi", previous_response_id=made.id)
        assert mine.responses.retrieve(made.id).id == made.id


def test_a_server_that_stops_waits_for_background_responses(own_pair: Pair) -> None:
    frontend, scheduler = own_pair
    with client(frontend) as api:
        api.responses.create(input="hi", background=True)
    stream_id = scheduler.next(SubmitGenerate).stream_id
    frontend.link.send(Drain())
    assert frontend.link.receive(0.3) is None
    scheduler.send(token_rows((stream_id, 0, ord("a"), FinishReason.LENGTH)))
    frontend.wait_for(Drained)
    assert frontend.stop() == 0
