"""Chunks are whole events of valid JSON, whatever they tell."""

import json
from typing import Any

import pytest

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning
from frontend.chunk_encoder import ChatChunkEncoder, ChunkEncoder

HEAD = {"id": "x", "object": "kind", "created": 7, "model": "m"}


def body_of(event: bytes) -> dict[str, Any]:
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    body: dict[str, Any] = json.loads(event.removeprefix(b"data: "))
    return body


@pytest.mark.parametrize(("with_usage", "usage"), [(False, {}), (True, {"usage": None})])
def test_completions(with_usage: bool, usage: dict[str, None]) -> None:
    encoder = ChunkEncoder("x", "kind", 7, "m", with_usage)
    choice: dict[str, Any] = {"index": 2, "text": 'a"\n', "logprobs": None, "finish_reason": None}
    assert body_of(encoder.text(2, 'a"\n')) == HEAD | {"choices": [choice]} | usage
    ended = choice | {"finish_reason": "stop", "stop_reason": "x"}
    assert body_of(encoder.finish(2, 'a"\n', "stop", "x")) == HEAD | {"choices": [ended]} | usage
    told = body_of(encoder.text(2, "a", b'"logprobs":{},"token_ids":[1]'))["choices"][0]
    assert told == {"index": 2, "text": "a", "logprobs": {}, "token_ids": [1], "finish_reason": None}


def test_usage_so_far() -> None:
    encoder = ChunkEncoder("x", "kind", 7, "m", True)
    encoder.show_usage({"total_tokens": 3})
    assert body_of(encoder.text(0, "a"))["usage"] == {"total_tokens": 3}
    assert body_of(encoder.usage({"total_tokens": 4})) == HEAD | {"choices": [], "usage": {"total_tokens": 4}}


@pytest.mark.parametrize(("with_usage", "usage"), [(False, {}), (True, {"usage": None})])
def test_the_first_chunk_of_a_chat_choice(with_usage: bool, usage: dict[str, None]) -> None:
    encoder = ChatChunkEncoder("x", "kind", 7, "m", with_usage)
    delta = {"role": "assistant", "content": ""}
    choices = {"choices": [{"index": 1, "delta": delta, "logprobs": None, "finish_reason": None}]}
    assert body_of(encoder.role(1)) == HEAD | choices | usage
    assert body_of(encoder.role(1, [5, 6])) == HEAD | choices | usage | {"prompt_token_ids": [5, 6]}


@pytest.mark.parametrize(
    ("part", "delta"),
    [
        (Content("a"), {"content": "a"}),
        (Reasoning("a"), {"reasoning": "a", "reasoning_content": "a"}),
        (
            CallBegin(1, "call_1", "f"),
            {
                "tool_calls": [
                    {"index": 1, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            },
        ),
        (CallArguments(1, "{}"), {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
    ],
)
def test_parts_of_a_message(part: Part, delta: dict[str, Any]) -> None:
    encoder = ChatChunkEncoder("x", "kind", 7, "m", False)
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    assert body_of(encoder.part(0, part)) == HEAD | {"choices": [choice]}


@pytest.mark.parametrize(("text", "delta"), [("", {}), ("a", {"content": "a"})])
def test_the_last_chunk_has_no_empty_content(text: str, delta: dict[str, str]) -> None:
    encoder = ChatChunkEncoder("x", "kind", 7, "m", False)
    ended = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "stop", "stop_reason": 9}
    assert body_of(encoder.finish(0, text, "stop", 9)) == HEAD | {"choices": [ended]}
