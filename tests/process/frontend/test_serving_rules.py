"""Who may call what, what browsers are told, and comments of streams that wait, over real HTTP."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from frontend.error_style import ErrorStyle
from frontend.route import Kind, Route
from frontend.routes import ROUTES
from frontend.routes_docs import described_routes
from ipc.messages import FinishReason, SubmitGenerate
from tests.support.frontend_under_test import FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler, token_rows

pytestmark = pytest.mark.process

KEY = "sk-the-key"
PAGE = "https://chat.example"
CALLS = [(route, path) for route in described_routes(ROUTES) for path in route.paths]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FrontendUnderTest, ScriptedScheduler]]:
    """With an API key, an origin, and comments after a hundredth of a second."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    folder.chmod(0o700)
    scheduler = ScriptedScheduler(folder)
    frontend = FrontendUnderTest(
        folder,
        scheduler.address,
        fake_cards(),
        api_key_digests=(sha256(b"another").hexdigest(), sha256(KEY.encode()).hexdigest()),
        allowed_origins=(PAGE,),
        allowed_methods=("*",),
        allowed_headers=("*",),
        sse_keep_alive_interval=0.01,
    )
    frontend.load_models()
    yield frontend, scheduler
    frontend.close()
    scheduler.close()


def call(frontend: FrontendUnderTest, route: Route, path: str, headers: dict[str, str]) -> httpx.Response:
    url = frontend.url + re.sub(r"\{[^}]*\}", "chat", path)
    return httpx.request(route.method, url, headers=headers, json={} if route.body else None, timeout=30.0)


@pytest.mark.parametrize(("route", "path"), CALLS, ids=[f"{route.method} {path}" for route, path in CALLS])
def test_without_a_key_only_open_routes_answer(
    guarded: tuple[FrontendUnderTest, ScriptedScheduler], route: Route, path: str
) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
        reply = call(guarded[0], route, path, headers)
        match route.kind:
            case Kind.OPEN:
                assert reply.status_code == 200
            case Kind.ADMIN:
                assert reply.status_code == 403  # the server has no admin key
            case Kind.INFERENCE | Kind.INFORMATION:
                assert reply.status_code == 401
                assert reply.headers["WWW-Authenticate"] == "Bearer"
                check_refusal(reply.json(), route.error_style)
        assert reply.headers["X-Request-Id"]
    if route.kind in (Kind.INFERENCE, Kind.INFORMATION):
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"x-api-key": "another"}):
            assert call(guarded[0], route, path, headers).status_code in (200, 400, 404)


def check_refusal(body: dict[str, Any], style: ErrorStyle) -> None:
    if style is ErrorStyle.ANTHROPIC:
        assert body["type"] == "error"
        assert body["error"]["type"] == "authentication_error"
    else:
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["code"] == "invalid_api_key"


def test_a_large_body_without_a_key_is_not_waited_for(guarded: tuple[FrontendUnderTest, ScriptedScheduler]) -> None:
    reply = httpx.post(f"{guarded[0].url}/v1/completions", content=b"x" * (512 << 10), timeout=30.0)
    assert reply.status_code == 401


@pytest.mark.parametrize("path", sorted({path for _, path in CALLS}))
def test_preflight_needs_no_key(guarded: tuple[FrontendUnderTest, ScriptedScheduler], path: str) -> None:
    url = guarded[0].url + re.sub(r"\{[^}]*\}", "chat", path)
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    reply = httpx.options(url, headers=asks)
    assert reply.status_code == 204
    assert reply.headers["Access-Control-Allow-Origin"] == PAGE
    assert reply.headers["Access-Control-Allow-Headers"] == "authorization"
    methods = {route.method for route, its_path in CALLS if its_path == path}
    assert methods <= set(reply.headers["Access-Control-Allow-Methods"].split(", "))
    refused = httpx.options(url, headers=asks | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in refused.headers


@pytest.mark.parametrize("path", sorted({path for _, path in CALLS}))
def test_other_methods_are_told_which_there_are(
    guarded: tuple[FrontendUnderTest, ScriptedScheduler], path: str
) -> None:
    for method in ("TRACE", "PUT"):
        reply = httpx.request(method, guarded[0].url + re.sub(r"\{[^}]*\}", "chat", path))
        assert reply.status_code == 405
        assert {route.method for route, its_path in CALLS if its_path == path} < set(reply.headers["Allow"].split(", "))


def test_pages_can_read_errors_too(guarded: tuple[FrontendUnderTest, ScriptedScheduler]) -> None:
    for path in ("/v1/completions", "/v1/nothing"):
        reply = httpx.post(guarded[0].url + path, headers={"Origin": PAGE})
        assert reply.status_code in (401, 404)
        assert reply.headers["Access-Control-Allow-Origin"] == PAGE


def test_comments_while_a_stream_waits(guarded: tuple[FrontendUnderTest, ScriptedScheduler]) -> None:
    frontend, scheduler = guarded
    scheduler.forget()
    body = {"prompt": "x", "stream": True, "max_tokens": 2}
    headers = {"x-api-key": KEY}
    with httpx.stream("POST", f"{frontend.url}/v1/completions", json=body, headers=headers, timeout=30.0) as reply:
        assert reply.status_code == 200
        lines = reply.iter_lines()
        stream_id = scheduler.next(SubmitGenerate).stream_id
        assert [next(lines) for _ in range(4)] == [": keep-alive", "", ": keep-alive", ""]
        scheduler.send(token_rows((stream_id, 0, 97, FinishReason.NONE)))
        while not (line := next(lines)).startswith("data: "):
            assert line in (": keep-alive", "")
        assert json.loads(line[6:])["choices"][0]["text"] == "a"
        assert [next(lines) for _ in range(3)] == ["", ": keep-alive", ""]
        scheduler.send(token_rows((stream_id, 1, 98, FinishReason.LENGTH)))
        rest = [line for line in lines if line not in (": keep-alive", "")]
    assert len(rest) == 2
    assert rest[-1] == "data: [DONE]"


def test_the_description_is_served(guarded: tuple[FrontendUnderTest, ScriptedScheduler]) -> None:
    document = httpx.get(f"{guarded[0].url}/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    page = httpx.get(f"{guarded[0].url}/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "/v1/chat/completions" in page.text
