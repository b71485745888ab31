"""The response object as the official client reads it."""

from typing import Any

import msgspec
import pytest
from openai.types.responses import Response

from frontend.chat_answer import Usage
from frontend.responses.body import finish, new_body
from frontend.responses.schema import ResponsesRequest
from frontend.responses.status import fail_with, without_logprobs
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import fake_card

USAGE = Usage(10, 5, 4, 2)
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": [{"token": "Hi"}]}],
}


def body_of(**fields: Any) -> dict[str, Any]:
    request = msgspec.convert({"input": "Hi", **fields}, ResponsesRequest)
    return new_body(request, "resp_1", fake_card(0, "m", "fake:generate", 0, 16, 1234), True)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "tool_choice": {"type": "function", "name": "f"},
        },
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}, "top_logprobs": 3},
        {"reasoning": {"effort": "high"}, "metadata": {"a": "b"}, "truncation": "auto", "instructions": "x"},
    ],
)
def test_it_is_told_back_what_was_asked_for(fields: dict[str, Any]) -> None:
    told = Response.model_validate(body_of(**fields)).to_dict()
    for name, value in fields.items():
        if isinstance(value, dict):
            assert value.items() <= told[name].items()  # type: ignore[attr-defined]
        elif isinstance(value, list):
            assert [{"strict": None} | entry for entry in value] == told[name]
        else:
            assert told[name] == value


def test_how_it_ends() -> None:
    body = body_of()
    finish(body, [MESSAGE], "stop", USAGE)
    done = Response.model_validate(without_logprobs(body))
    assert (done.status, done.output_text, done.incomplete_details) == ("completed", "Hi", None)
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.total_tokens) == (10, 5, 15)
    assert done.usage.input_tokens_details.cached_tokens == 4
    assert done.usage.output_tokens_details.reasoning_tokens == 2
    body = body_of()
    finish(body, [], "length", USAGE)
    cut = Response.model_validate(body)
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (ErrorCode.QUEUE_FULL, "rate_limit_exceeded"),
        (ErrorCode.INVALID_REQUEST, "invalid_prompt"),
        (ErrorCode.NO_WORKER, "server_error"),
    ],
)
def test_how_it_fails(code: ErrorCode, named: str) -> None:
    body = body_of()
    fail_with(body, RequestError(code, "why"))
    failed = Response.model_validate(body)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.error.message) == ("failed", named, "why")
