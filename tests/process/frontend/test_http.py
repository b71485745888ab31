"""HTTP itself: clients that leave, errors in OpenAI's shape, keep-alive, request ids, odd bodies."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from ipc.messages import Abort, FinishReason, SubmitGenerate
from ipc.metric_families import OTHER
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest
from tests.support.raw_http import post, read_reply, send_raw
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text, token_rows

pytestmark = pytest.mark.process


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("has_token", [False, True])
def test_a_client_that_leaves_ends_its_work(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, stream: bool, has_token: bool
) -> None:
    num_left = frontend.counted("zerolane_client_disconnects_total")
    connection = send_raw(frontend, post("/v1/completions", {"prompt": ["x", "y"], "stream": stream}))
    submits = [scheduler.next(SubmitGenerate), scheduler.next(SubmitGenerate)]
    if has_token:
        scheduler.send(token_rows((submits[0].stream_id, 0, 97, FinishReason.NONE)))
        if stream:
            assert connection.recv(100)
    connection.close()
    aborted = scheduler.next(Abort).stream_ids
    assert aborted == b"".join(submit.stream_id.to_bytes(8, "little") for submit in submits)
    wait_until(lambda: frontend.counted("zerolane_client_disconnects_total") == num_left + 1)
    wait_until(lambda: frontend.counted("zerolane_http_requests_in_flight", "/v1/completions") == 0)
    assert frontend.counted("zerolane_http_requests_total", "/v1/completions", "499") == num_left + 1


def test_a_client_that_leaves_after_a_large_body(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    """Sanic pauses reading at 64 KiB; a connection that stayed paused after the body did not tell its end."""
    body = {"prompt": "x", "ignored": "y" * 100_000}
    connection = send_raw(frontend, post("/v1/completions", body))
    submit = scheduler.next(SubmitGenerate)
    connection.close()
    assert scheduler.next(Abort).stream_ids == submit.stream_id.to_bytes(8, "little")


def test_a_client_that_leaves_inside_its_headers(frontend: FrontendUnderTest) -> None:
    send_raw(frontend, b"GET /health HTTP/1.1\r\nHost:").close()
    wait_until(lambda: (OTHER, "499") in frontend.statuses())
    assert (OTHER, "500") not in frontend.statuses()


def test_a_slow_client_gets_larger_deltas_not_a_longer_queue(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    """Tokens that come while the client does not read go out together once it does, none lost."""
    num_tokens = 4000
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(DEADLINE_S)
    connection.connect(("127.0.0.1", frontend.port))
    connection.sendall(post("/v1/completions", {"prompt": "x", "stream": True, "max_tokens": num_tokens}))
    stream_id = scheduler.next(SubmitGenerate).stream_id
    # far more than fits the buffers of the connection: a chunk of one token has some 200 bytes
    for position in range(num_tokens):
        finish = FinishReason.LENGTH if position == num_tokens - 1 else FinishReason.NONE
        scheduler.send(token_rows((stream_id, position, 97 + position % 26, finish)))
    data = b""
    while b"[DONE]" not in data:
        data += connection.recv(1 << 16)
    connection.close()
    chunks = [json.loads(part.split(b"\n\n")[0]) for part in data.split(b"data: ")[1:] if part.startswith(b"{")]
    assert len(chunks) < num_tokens
    text = "".join(chunk["choices"][0]["text"] for chunk in chunks)
    assert text == "".join(chr(97 + position % 26) for position in range(num_tokens))


ERRORS: list[tuple[str, str, dict[str, Any], int, str | None, str | None]] = [
    # method, path, what is sent, status, param, code
    ("GET", "/v1/nothing", {}, 404, None, "unknown_url"),
    ("GET", "/v1/score", {}, 405, None, "method_not_allowed"),
    ("DELETE", "/v1/models/chat", {}, 405, None, "method_not_allowed"),
    ("GET", "/v1/models/nobody/nothing", {}, 404, "model", "model_not_found"),
    ("POST", "/v1/completions", {"content": b"{'prompt': 1}"}, 400, None, None),
    ("POST", "/v1/completions", {"content": b""}, 400, None, None),
    ("POST", "/v1/completions", {"content": b"[]"}, 400, None, None),
    ("POST", "/v1/completions", {"content": b"x" * (3 << 20)}, 413, None, "request_too_large"),
    ("POST", "/v1/completions", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 400, None, None),
    ("POST", "/v1/completions", {"json": {}}, 400, "prompt", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "model": "gpt-4"}}, 404, "model", "model_not_found"),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "model": "rank"}}, 400, "model", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "n": 0}}, 400, "n", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "temperature": 2.5}}, 400, "temperature", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "echo": "yes"}}, 400, "echo", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "stop": ["a", ""]}}, 400, "stop[1]", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x", "stream_options": {}}}, 400, "stream_options", None),
    ("POST", "/v1/completions", {"json": {"prompt": [1, "x"]}}, 400, "prompt", None),
    ("POST", "/v1/completions", {"json": {"prompt": [1, 300]}}, 400, "prompt", None),
    ("POST", "/v1/completions", {"json": {"prompt": ["x", ""]}}, 400, "prompt[1]", None),
    ("POST", "/v1/completions", {"json": {"prompt": ["x"] * 100, "n": 100}}, 400, "prompt", None),
    ("POST", "/v1/completions", {"json": {"prompt": "x" * 4096}}, 400, "prompt", "context_length_exceeded"),
    (
        "POST",
        "/v1/completions",
        {"json": {"prompt": "x", "max_tokens": 5000}},
        400,
        "prompt",
        "context_length_exceeded",
    ),
    ("POST", "/v1/chat/completions", {"json": {"messages": []}}, 400, "messages", None),
    ("POST", "/v1/chat/completions", {"json": {"messages": [{"content": "x"}]}}, 400, "messages[0].role", None),
    (
        "POST",
        "/v1/chat/completions",
        {"json": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}},
        400,
        "messages[0].content[0].type",
        None,
    ),
    (
        "POST",
        "/v1/chat/completions",
        {"json": {"messages": [{"role": "user", "content": "x"}], "top_logprobs": 3}},
        400,
        "top_logprobs",
        None,
    ),
    ("POST", "/v1/score", {"json": {"text_1": ["a", "b"], "text_2": ["c"] * 3}}, 400, "text_1", None),
    ("POST", "/v1/score", {"json": {"text_1": "a", "text_2": []}}, 400, "text_2", None),
    (
        "POST",
        "/v1/score",
        {"json": {"text_1": "a", "text_2": ["b", "x" * 5000]}},
        400,
        "text_2[1]",
        "context_length_exceeded",
    ),
    ("POST", "/v1/score", {"json": {"model": "chat", "text_1": "a", "text_2": "b"}}, 400, "model", None),
]


def test_every_error_has_openais_shape(frontend: FrontendUnderTest) -> None:
    with httpx.Client(base_url=frontend.url, timeout=DEADLINE_S) as client:
        for method, path, sent, status, param, code in ERRORS:
            reply = client.request(method, path, **sent)
            case = f"{method} {path} {str(sent)[:80]}: {reply.text[:300]}"
            assert reply.status_code == status, case
            error = reply.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}, case
            assert (error["param"], error["code"]) == (param, code), case
            assert error["type"] == "invalid_request_error", case
            assert reply.headers["x-request-id"], case


def test_context_length_message_has_both_numbers(frontend: FrontendUnderTest) -> None:
    reply = httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "x" * 4000, "max_tokens": 200})
    message = reply.json()["error"]["message"]
    assert "maximum context length is 4096 tokens" in message
    assert "you requested 4200 tokens (4000 in the prompt, 200 in the completion)" in message


def test_the_official_client_knows_the_errors(frontend: FrontendUnderTest) -> None:
    with openai.OpenAI(base_url=f"{frontend.url}/v1", api_key="none", max_retries=0) as api:
        with pytest.raises(openai.NotFoundError) as caught:
            api.completions.create(model="nobody", prompt="x")
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as refused:
            api.completions.create(model="chat", prompt="x", n=0)
        assert refused.value.param == "n"
        assert [model.id for model in api.models.list()] == ["chat", "rank"]
        assert api.models.retrieve("chat").id == "chat"


def test_known_harmless_and_unknown_fields_are_ignored(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    scheduler.answer = answers_text("ok")
    body = {
        "prompt": "x",
        "user": "u",
        "metadata": {"a": 1},
        "store": False,
        "service_tier": "auto",
        "made_up": [1, 2],
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "echo": False,
        "suffix": None,
        "logprobs": None,
        "best_of": 1,
        "top_k": -1,
    }
    for content_type in ("application/json", "application/json; charset=utf-8", None):
        headers = {"Content-Type": content_type} if content_type else {}
        reply = httpx.post(f"{frontend.url}/v1/completions", content=json.dumps(body), headers=headers)
        assert reply.status_code == 200, reply.text


def test_garbage_instead_of_http(frontend: FrontendUnderTest) -> None:
    with send_raw(frontend, b"\x16\x03\x01 nonsense\r\n\r\n") as connection:
        status, body = read_reply(connection)
    assert status == 400
    assert body["error"]["type"] == "invalid_request_error"


def test_too_large_a_body_is_refused_before_it_is_sent(frontend: FrontendUnderTest) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    with send_raw(frontend, head) as connection:
        assert read_reply(connection)[0] == 413  # no 100 Continue comes before it


def test_chunked_body_and_keep_alive(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    """Several requests on one connection, one of them refused before its body was read, one sent in chunks."""
    scheduler.answer = answers_text("ok")
    with send_raw(frontend, post("/v1/completions", {"prompt": "x"})) as connection:
        assert read_reply(connection)[0] == 200
        connection.sendall(post("/v1/completions", b"{}", "Content-Type: text/plain"))
        assert read_reply(connection)[0] == 400
        body = json.dumps({"prompt": "x"}).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"5\r\n" + body[:5] + b"\r\n%x\r\n" % (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n")
        assert read_reply(connection)[0] == 200
        connection.sendall(post("/v1/completions", {"prompt": "x"}))
        assert read_reply(connection)[0] == 200


def test_head(frontend: FrontendUnderTest) -> None:
    """Load balancers ask so."""
    reply = httpx.head(f"{frontend.url}/health")
    assert (reply.status_code, reply.content) == (200, b"")
    assert httpx.head(f"{frontend.url}/v1/models/chat").status_code == 200
    assert httpx.head(f"{frontend.url}/v1/models/nobody").status_code == 404


def test_request_ids(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("ok")
    sent = httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "x"}, headers={"X-Request-Id": "my-id/1"})
    assert sent.headers["x-request-id"] == "my-id/1"
    assert scheduler.next(SubmitGenerate).request_id == "my-id/1"
    for insane in ("x" * 200, "a b"):
        reply = httpx.get(f"{frontend.url}/health", headers={"X-Request-Id": insane})
        assert reply.headers["x-request-id"] != insane
    streamed = httpx.post(
        f"{frontend.url}/v1/completions", json={"prompt": "x", "stream": True}, headers={"X-Request-Id": "s"}
    )
    assert streamed.headers["x-request-id"] == "s"


def test_metrics_text(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("ok")
    httpx.post(f"{frontend.url}/v1/completions", json={"prompt": "x"})
    text = httpx.get(f"{frontend.url}/metrics").text
    count = frontend.counted("zerolane_http_requests_total", "/v1/completions", "200")
    assert f'zerolane_http_requests_total{{route="/v1/completions",status="200"}} {count}' in text
    assert 'zerolane_kv_pages_total{model="chat"} 0.0' in text
    assert 'zerolane_inter_token_seconds_bucket{le="+Inf",model="chat"} 0.0' in text


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
