"""Requests whose time is over: 504 before anything was sent, an event in a stream, and nobody computes on."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from msgspec import Struct

from ipc.messages import Abort, FinishReason, SubmitGenerate
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text, token_rows

pytestmark = pytest.mark.process

SOON = {"timeout": 0.2}
CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
STREAMED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"model": "chat", "prompt": "hi", "stream": True}),
    ("/v1/chat/completions", CHAT | {"stream": True}),
]
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    *STREAMED,
    ("/v1/completions", {"model": "chat", "prompt": "hi"}),
    ("/v1/chat/completions", CHAT),
    ("/v1/messages", CHAT | {"max_tokens": 5}),
    ("/v1/responses", {"model": "chat", "input": "hi"}),
    ("/v1/score", {"text_1": "a", "text_2": "b", "stream": True}),
]


def one_letter(record: Struct) -> Iterable[Struct]:
    if isinstance(record, SubmitGenerate):
        yield token_rows((record.stream_id, 0, ord("x"), FinishReason.NONE))


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_before_anything_was_sent(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, path: str, body: dict[str, Any]
) -> None:
    reply = httpx.post(f"{frontend.url}{path}", json=body | SOON)
    assert reply.status_code == 504, reply.text
    assert reply.headers["x-should-retry"] == "false"
    assert scheduler.next(Abort)


@pytest.mark.parametrize(("path", "body"), STREAMED)
def test_what_a_stream_has_sent_stays(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, path: str, body: dict[str, Any]
) -> None:
    scheduler.answer = one_letter
    reply = httpx.post(f"{frontend.url}{path}", json=body, headers={"X-Request-Timeout": "0.2"})
    assert reply.status_code == 200
    *chunks, error, done = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert done == "[DONE]"
    assert json.loads(error)["error"]["code"] == "deadline_exceeded"
    assert any("x" in json.dumps(json.loads(chunk)["choices"][0]) for chunk in chunks)
    assert scheduler.next(Abort)


def test_in_time(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("ok")
    body = {"model": "chat", "prompt": "hi", "max_tokens": 2, "timeout": 60}
    reply = httpx.post(f"{frontend.url}/v1/completions", json=body, headers={"X-Request-Timeout": "30"})
    assert reply.json()["choices"][0]["text"] == "ok"


def test_while_the_body_arrives(frontend: FrontendUnderTest) -> None:
    def body() -> Iterable[bytes]:
        yield b'{"model": '
        with httpx.Client() as other:  # while the rest is missing, others are served
            assert other.get(f"{frontend.url}/health").status_code == 200
        yield b'"chat", "prompt": "hi"}'

    headers = {"X-Request-Timeout": "0.000001"}
    reply = httpx.post(f"{frontend.url}/v1/completions", content=body(), headers=headers)
    assert reply.status_code == 504


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings", "/rerank", "/tokenize"])
def test_a_header_that_is_no_time(frontend: FrontendUnderTest, path: str) -> None:
    reply = httpx.post(f"{frontend.url}{path}", json={}, headers={"X-Request-Timeout": "-1"})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "X-Request-Timeout"
