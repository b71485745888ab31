"""Handlers that need no engine: large replies are written off the loop, a body's deadline holds."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import orjson
import pytest
from sanic import HTTPResponse, Request
from sanic.compat import Header

from frontend import routes_cohere_embed, routes_tokenize
from frontend.anthropic import routes as anthropic_routes
from frontend.byte_tokenizer import ByteTokenizer
from frontend.chat_template import ChatTemplate
from frontend.deadline import deadline_of
from frontend.responses import routes as responses_routes
from frontend.serving import Serving
from frontend.text_model import TextModel, TextModels
from frontend.vector_encoding import numbers_reply
from ipc.config import FrontendConfig
from ipc.fake_card import fake_card
from ipc.metrics_page import MetricsPage

_NOTHING: Any = None
CONFIG = FrontendConfig(
    frontend_id=0,
    epoch=1,
    metrics_slot=0,
    scheduler_address="ipc:///nowhere",
    runtime_dir="",
    max_body_bytes=1 << 20,
    shutdown_timeout_s=1.0,
)
TEMPLATE = ChatTemplate({"default": ""}, lambda filling: "hi", {}, "string")
Handler = Callable[[Serving, Request], Awaitable[HTTPResponse | None]]


def request_to(url: bytes, method: str = "POST") -> Request:
    return Request(url, Header({"content-type": "application/json"}), "1.1", method, _NOTHING, _NOTHING)


def serving_of(kind: str, tokenizer: ByteTokenizer) -> Serving:
    serving = Serving(CONFIG, MetricsPage.create(["m"], 1))
    serving.models_loaded(TextModels([TextModel(fake_card(0, "m", kind, 100_000, 16, 0), tokenizer, TEMPLATE)]))
    return serving


@pytest.fixture
def with_body(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, dict[str, Any]], None]:
    """Makes the handlers of a module read this body."""

    def given(module: ModuleType, body: dict[str, Any]) -> None:
        async def read_body(request: Request, max_bytes: int) -> bytes:
            return orjson.dumps(body)

        monkeypatch.setattr(module, "read_body", read_body)

    return given


def answer(handler: Handler, serving: Serving, request: Request) -> HTTPResponse:
    async def run() -> HTTPResponse | None:
        return await handler(serving, request)

    reply = asyncio.run(run())
    assert reply is not None
    return reply


def test_spellings_of_many_tokens_are_looked_up_off_the_loop(with_body: Any) -> None:
    threads: set[int] = set()

    class Watched(ByteTokenizer):
        def token_spelling(self, token_id: int) -> str:
            threads.add(threading.get_ident())
            return super().token_spelling(token_id)

    with_body(routes_tokenize, {"prompt": "x" * 20_000, "return_token_strs": True})
    reply = answer(routes_tokenize.tokenize, serving_of("fake:generate", Watched()), request_to(b"/tokenize"))
    assert reply.body is not None
    assert orjson.loads(reply.body)["token_strs"] == ["x"] * 20_000
    assert threading.get_ident() not in threads


def test_many_vectors_are_written_off_the_loop(with_body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()

    def watched(body: dict[str, Any]) -> HTTPResponse:
        threads.add(threading.get_ident())
        return numbers_reply(body)

    async def pooled_outputs(*_: Any) -> Any:
        return np.ones((600, 32), np.float32)

    monkeypatch.setattr(routes_cohere_embed, "numbers_reply", watched)
    monkeypatch.setattr(routes_cohere_embed, "pooled_outputs", pooled_outputs)
    with_body(routes_cohere_embed, {"texts": ["x"], "input_type": "search_query", "embedding_types": ["float"]})
    reply = answer(
        routes_cohere_embed.cohere_embed, serving_of("fake:embed", ByteTokenizer()), request_to(b"/v2/embed")
    )
    assert reply.body is not None
    assert len(orjson.loads(reply.body)["embeddings"]["float"]) == 600
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_timeout_holds_for_counting_tokens_too(with_body: Any) -> None:
    """The field was accepted and ignored."""
    with_body(anthropic_routes, {"messages": [{"role": "user", "content": "hi"}], "timeout": 7})
    request = request_to(b"/v1/messages/count_tokens")
    reply = answer(anthropic_routes.count_tokens, serving_of("fake:generate", ByteTokenizer()), request)
    assert reply.body == b'{"input_tokens":2}'
    assert deadline_of(request).at is not None


def test_head_of_a_stored_stream_has_no_events() -> None:
    """They were sent as a body, which HEAD cannot have."""

    class Responses:
        async def get(self, response_id: str, owner: str) -> Any:
            return SimpleNamespace(body_json=b"{}", has_events=True)

    async def get(serving: Serving, request: Request) -> HTTPResponse | None:
        return await responses_routes.get_response(serving, request, "resp_1")

    serving = cast(Serving, SimpleNamespace(responses=Responses()))
    reply = answer(get, serving, request_to(b"/v1/responses/resp_1?stream=true", "HEAD"))
    assert (reply.status, reply.content_type, reply.body) == (200, "application/json", b"{}")
