"""Every broken body is refused with its field named; every field that is not built yet is refused unless neutral."""

import json
import re
from typing import Any

import pytest

from frontend import unsupported_fields
from frontend.request_body import check_content_type, decode_body
from frontend.schema_chat import ChatRequest
from frontend.schema_completions import CompletionRequest
from frontend.schema_score import ScoreRequest
from frontend.unsupported_fields import CHAT, COMPLETIONS, SCORE
from ipc.errors import ErrorCode, RequestError

ENDPOINTS: dict[str, tuple[type[Any], dict[str, tuple[Any, ...]], dict[str, Any]]] = {
    "completions": (CompletionRequest, COMPLETIONS, {"prompt": "x"}),
    "chat": (ChatRequest, CHAT, {"messages": [{"role": "user", "content": "x"}]}),
    "score": (ScoreRequest, SCORE, {"text_1": "a", "text_2": "b"}),
}
UNSUPPORTED = [(name, field) for name, (_, table, _) in ENDPOINTS.items() for field in table]


def decode(endpoint: str, **changes: Any) -> Any:
    schema, table, body = ENDPOINTS[endpoint]
    return decode_body(json.dumps(body | changes).encode(), schema, table)


def refusal(endpoint: str, **changes: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode(endpoint, **changes)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    return caught.value


@pytest.mark.parametrize(("endpoint", "field"), UNSUPPORTED)
def test_a_field_not_built_yet(endpoint: str, field: str) -> None:
    """Accepted as null and at its neutral values, refused by name at any other."""
    neutrals = ENDPOINTS[endpoint][1][field]
    for neutral in (None, *neutrals):
        decode(endpoint, **{field: neutral})
    for asking in ("something", 5, {"a": 1}, ["x"], True, False):
        if not any(unsupported_fields._is_equal(asking, neutral) for neutral in neutrals):
            error = refusal(endpoint, **{field: asking})
            assert error.param == field
            assert "not supported yet" in str(error)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_harmless_and_unknown_fields_are_ignored(endpoint: str) -> None:
    decode(endpoint, user="me", metadata={}, store=True, service_tier="flex", prompt_cache_key="k", whatever=[{}])


@pytest.mark.parametrize(
    ("endpoint", "changes", "param"),
    [
        ("completions", {"prompt": None}, "prompt"),
        ("completions", {"prompt": {"a": 1}}, "prompt"),
        ("completions", {"prompt": [[1, -1]]}, "prompt[0][1]"),
        ("completions", {"prompt": [1.5]}, "prompt[0]"),
        ("completions", {"n": 129}, "n"),
        ("completions", {"n": "2"}, "n"),
        ("completions", {"max_tokens": -1}, "max_tokens"),
        ("completions", {"temperature": -0.1}, "temperature"),
        ("completions", {"top_p": 0}, "top_p"),
        ("completions", {"top_p": 1.01}, "top_p"),
        ("completions", {"top_k": -2}, "top_k"),
        ("completions", {"min_p": 2}, "min_p"),
        ("completions", {"seed": 1 << 63}, "seed"),
        ("completions", {"stop": ["x"] * 17}, "stop"),
        ("completions", {"stop": ""}, "stop"),
        ("completions", {"stop_token_ids": [-1]}, "stop_token_ids[0]"),
        ("completions", {"stream": 1}, "stream"),
        ("completions", {"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ("completions", {"model": 7}, "model"),
        ("chat", {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ("chat", {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ("chat", {"messages": "x"}, "messages"),
        ("chat", {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ("chat", {"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ("chat", {"max_completion_tokens": 0}, "max_completion_tokens"),
        ("score", {"text_1": 5}, "text_1"),
        ("score", {"text_2": ["x", None]}, "text_2[1]"),
        ("score", {"text_2": {"content": 5}}, "text_2.content"),
        ("score", {"encoding_format": "base64"}, "encoding_format"),
    ],
)
def test_a_bad_value_names_its_field(endpoint: str, changes: dict[str, Any], param: str) -> None:
    error = refusal(endpoint, **changes)
    assert error.param == param
    assert f"'{param}'" in str(error)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"\xff\xfe", b'"text"', b"[1]", b"[" * 100_000, b'{"a":' * 9999]
)
def test_no_json_object(body: bytes) -> None:
    with pytest.raises(RequestError, match="JSON"):
        decode_body(body, CompletionRequest, COMPLETIONS)


def test_a_number_out_of_range_names_its_field() -> None:
    for body, param in (
        (b'{"temperature": 1e999, "prompt": "x"}', "temperature"),
        (b'{"prompt": [1e999]}', "prompt[0]"),
    ):
        with pytest.raises(RequestError, match=re.escape(f"'{param}': Number out of range.")) as caught:
            decode_body(body, CompletionRequest, COMPLETIONS)
        assert caught.value.param == param


@pytest.mark.parametrize("rest", [b"", b', "b": ' + b"[" * 100_000, b', "\xff": 1'])
def test_a_number_out_of_range_in_an_unknown_field(rest: bytes) -> None:
    """Nothing of our own names for places is shown."""
    with pytest.raises(RequestError, match=r"not valid JSON: Number out of range\.$"):
        decode_body(b'{"prompt": "x", "a": 1e999' + rest + b"}", CompletionRequest, COMPLETIONS)


def test_content_types() -> None:
    for fine in (None, "", "application/json", "Application/JSON; charset=utf-8"):
        check_content_type(fine)
    for wrong in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        with pytest.raises(RequestError, match="application/json"):
            check_content_type(wrong)
