"""Output items and events as OpenAI's own client types want them, in OpenAI's order."""

from typing import Any

import pytest
from openai.types.responses import ResponseOutputItem, ResponseStreamEvent
from pydantic import TypeAdapter

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning
from frontend.byte_tokenizer import ByteTokenizer
from frontend.chat_answer import ChoiceNews
from frontend.logprobs_body import TokenNames
from frontend.output_tokens import OutputToken
from frontend.responses.output import Output

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ITEMS: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)
CALL: list[Part] = [CallBegin(0, "call_1", "look"), CallArguments(0, '{"a":'), CallArguments(0, "1}")]


def news(parts: list[Part], text: str = "") -> ChoiceNews:
    tokens = [OutputToken(byte, bytes([byte]), -0.5, 1, [(byte, -0.5)]) for byte in text.encode()]
    return ChoiceNews(0, parts, tokens, None, None, [])


def kinds(events: list[dict[str, Any]]) -> list[str]:
    for number, event in enumerate(events):
        EVENTS.validate_python(event | {"sequence_number": number})
    return [event["type"].removeprefix("response.") for event in events]


def test_thinking_then_text_then_a_call() -> None:
    output = Output(None, 0)
    events = output.push(news([Reasoning("hm"), Reasoning("m"), Content("Hel"), Content("lo"), *CALL]))
    events += output.finish("completed")
    assert kinds(events) == [
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done"),
    ]
    items = output.items()
    assert [ITEMS.validate_python(item).type for item in items] == ["reasoning", "message", "function_call"]
    assert [item["status"] for item in items] == ["completed"] * 3
    assert items[0]["content"][0]["text"] == "hmm"
    assert items[1]["content"][0]["text"] == "Hello"
    assert (items[2]["call_id"], items[2]["name"], items[2]["arguments"]) == ("call_1", "look", '{"a":1}')
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == items
    assert [event["output_index"] for event in events] == [0] * 7 + [1] * 7 + [2] * 5


@pytest.mark.parametrize("divided", [False, True])
def test_division_does_not_change_the_items(divided: bool) -> None:
    output = Output(None, 0)
    parts: list[Part] = [Content("a"), Content("b"), CallBegin(0, "c", "f"), CallArguments(0, "{}")]
    for some in [[part] for part in parts] if divided else [parts]:
        output.push(news(some))
    output.finish("completed")
    message, call = output.items()
    assert message["content"][0]["text"] == "ab"
    assert call["arguments"] == "{}"


def test_what_was_cut_short_is_incomplete() -> None:
    output = Output(None, 0)
    output.push(news([Content("Hello"), *CALL[:2]]))
    assert kinds(output.finish("incomplete"))[-1] == "output_item.done"
    assert [item["status"] for item in output.items()] == ["completed", "incomplete"]


def test_white_space_between_items_makes_no_message() -> None:
    output = Output(None, 0)
    output.push(news([Content("\n"), *CALL, Content("\n"), CallBegin(1, "call_2", "look"), Content(" \n")]))
    output.finish("completed")
    assert [item["type"] for item in output.items()] == ["message", "function_call", "function_call"]


def test_text_after_white_space_keeps_it() -> None:
    output = Output(None, 0)
    output.push(news([Reasoning("x"), Content("\n"), Content("\nHi")]))
    output.finish("completed")
    assert output.items()[1]["content"][0]["text"] == "\n\nHi"


def test_nothing_at_all_is_an_empty_message() -> None:
    output = Output(None, 0)
    assert kinds(output.finish("completed"))[0] == "output_item.added"
    assert output.items()[0]["content"][0]["text"] == ""


def test_an_open_item_is_told_as_it_is() -> None:
    output = Output(None, 0)
    output.push(news([Content("Hel")]))
    assert output.items()[0]["status"] == "in_progress"


@pytest.mark.parametrize("before", ["thinking", "call"])
def test_logprobs_are_not_those_of_the_same_word_before(before: str) -> None:
    """The answer's first words were looked for from the beginning of the thinking on."""
    parts: list[Part] = [Reasoning("say yes")] if before == "thinking" else [CallBegin(0, "c", "f")]
    parts += [] if before == "thinking" else [CallArguments(0, '{"a":"yes"}')]
    said = "<t>say yes</t>" if before == "thinking" else '<c>{"a":"yes"}</c>'
    tokens = news(parts, said).tokens + [OutputToken(byte, bytes([byte]), -0.25, 1, []) for byte in b"yes"]
    output = Output(TokenNames(ByteTokenizer(), False), 0)
    output.push(ChoiceNews(0, [*parts, Content("yes")], tokens, None, None, []))
    output.finish("completed")
    assert [entry["logprob"] for entry in output.items()[1]["content"][0]["logprobs"]] == [-0.25] * 3


@pytest.mark.parametrize("divided", [False, True])
def test_logprobs_are_those_of_the_text_alone(divided: bool) -> None:
    output = Output(TokenNames(ByteTokenizer(), False), 1)
    if divided:
        output.push(news([Reasoning("no")], "<t>no"))
        output.push(news([], "</t>y"))
        output.push(news([Content("ye")], "e"))
        output.push(news([Content("s")], "s"))
    else:
        output.push(news([Reasoning("no"), Content("ye"), Content("s")], "<t>no</t>yes"))
    events = output.finish("completed")
    kinds(events)
    logprobs = output.items()[1]["content"][0]["logprobs"]
    assert "".join(chr(entry["bytes"][0]) for entry in logprobs) == "yes"
    assert len(logprobs[0]["top_logprobs"]) == 1
