"""Blocks and events as Anthropic's own client types want them, in Anthropic's order."""

from typing import Any

import pytest
from anthropic.types import ContentBlock, RawMessageStreamEvent
from pydantic import TypeAdapter

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning
from frontend.anthropic.blocks import Blocks

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
BLOCKS: TypeAdapter[Any] = TypeAdapter(ContentBlock)
CALL: list[Part] = [CallBegin(0, "call_1", "look"), CallArguments(0, '{"a":'), CallArguments(0, "1}")]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    for event in events:
        EVENTS.validate_python(event)
    return [event["type"].removeprefix("content_block_") for event in events]


def test_thinking_then_text_then_a_call() -> None:
    blocks = Blocks()
    events = blocks.push([Reasoning("hm"), Reasoning("m"), Content("Hel"), Content("lo"), *CALL])
    events += blocks.finish()
    assert kinds(events) == ["start", "delta", "delta", "stop"] * 3
    assert [event["index"] for event in events] == [0] * 4 + [1] * 4 + [2] * 4
    thinking, text, call = [BLOCKS.validate_python(block) for block in blocks.blocks()]
    assert (thinking.thinking, text.text) == ("hmm", "Hello")
    assert (call.id, call.name, call.input) == ("call_1", "look", {"a": 1})
    assert blocks.has_calls


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", ""])
def test_arguments_that_are_no_object_are_none(arguments: str) -> None:
    blocks = Blocks()
    blocks.push([CallBegin(0, "call_1", "look"), CallArguments(0, arguments)])
    blocks.finish()
    assert blocks.blocks()[0]["input"] == {}


def test_white_space_between_blocks_makes_no_block() -> None:
    blocks = Blocks()
    blocks.push(
        [Content("Hi"), *CALL, Content("\n"), CallBegin(1, "call_2", "look"), CallArguments(1, "{}"), Content("\n")]
    )
    blocks.finish()
    assert [block["type"] for block in blocks.blocks()] == ["text", "tool_use", "tool_use"]


def test_nothing_is_no_block() -> None:
    blocks = Blocks()
    assert blocks.push([]) + blocks.finish() == []
    assert blocks.blocks() == []
