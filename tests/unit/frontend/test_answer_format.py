"""Which parsers the answers to a request need, and what they make of them together."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from frontend.answer_format import AnswerFormat, answer_format
from frontend.byte_tokenizer import ByteTokenizer
from frontend.chat_prompt import RenderedChat
from frontend.harmony import HARMONY, HARMONY_CALLS
from frontend.reasoning.think import THINK
from frontend.schema_chat import ChatRequest
from frontend.text_model import TextModel
from frontend.tool_calls.hermes import HERMES
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from tests.support.read_answer import THINKING, Found, read, read_in_every_way

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
NAMED = {"type": "function", "function": {"name": "g"}}
CALL = '<tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>'
THOUGHTS = "<think>\nHm.\n</think>\n\n"
MODEL = partial(TextModel, fake_card(0, "m", "fake:generate", 0, 16, 0), ByteTokenizer(), None)


def format_of(opens: bool = False, model: TextModel | None = None, **fields: Any) -> AnswerFormat:
    request = convert({"messages": [{"role": "user", "content": "hi"}]} | fields, ChatRequest)
    return answer_format(model or MODEL(HERMES, THINK), request, RenderedChat([], "", opens_reasoning=opens))


def found(text: str, opens: bool = False, model: TextModel | None = None, **fields: Any) -> list[Found]:
    return read_in_every_way(format_of(opens, model, **fields).parser, text)


def test_thinking_then_content_then_calls() -> None:
    text = f"{THOUGHTS}I look.\n{CALL}\n{CALL}"
    thoughts: Found = (THINKING, "Hm.")
    call: Found = ("f", '{"x": 1}')
    assert found(text, tools=TOOLS) == [thoughts, "I look.\n", call, call]
    assert found(text, tools=TOOLS, include_reasoning=False) == ["I look.\n", call, call]
    assert found(text, tools=TOOLS, parallel_tool_calls=False) == [thoughts, "I look.\n", call]
    assert found(f"Hm.</think>{CALL}", opens=True, tools=TOOLS) == [thoughts, call]


def test_no_calls_are_looked_for_where_none_can_be() -> None:
    assert found(CALL) == found(CALL, tools=TOOLS, tool_choice="none") == [CALL]
    assert found(CALL, model=MODEL(None, None), tools=TOOLS) == [CALL]
    assert found(f"<think>{CALL}</think>x", tools=TOOLS) == [(THINKING, CALL), "x"]


def test_required_calls_are_plain_json() -> None:
    text = '[{"name": "f", "parameters": {"x": 1}}, {"name": "g", "parameters": {}}]'
    both: list[Found] = [("f", '{"x": 1}'), ("g", "{}")]
    assert found(text, tools=TOOLS, tool_choice="required") == both
    assert found(f" {text}\n", tools=TOOLS, tool_choice="required") == both
    assert found(text, tools=TOOLS, tool_choice="required", parallel_tool_calls=False) == both[:1]
    assert found(f"Hm.</think>{text}", opens=True, tools=TOOLS, tool_choice="required") == [(THINKING, "Hm."), *both]
    assert found(text[:32], tools=TOOLS, tool_choice="required") == [("f", '{"x')]
    assert found('[{"na', tools=TOOLS, tool_choice="required") == ['[{"na']


def test_a_named_call_is_its_arguments() -> None:
    assert found('{"x": [1, "}"]}', tools=TOOLS, tool_choice=NAMED) == [("g", '{"x": [1, "}"]}')]
    assert found(' {"x": "a', tools=TOOLS, tool_choice=NAMED) == [("g", '{"x": "a')]
    assert found("", tools=TOOLS, tool_choice=NAMED) == []


def test_harmony_finds_all_by_itself() -> None:
    model = MODEL(HARMONY_CALLS, HARMONY)
    text = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>"
        '{"x": 1}<|call|>'
    )
    assert found(text, model=model, tools=TOOLS) == [(THINKING, "Hm."), ("f", '{"x": 1}')]
    assert found('[{"name": "f", "parameters": {}}]', model=model, tools=TOOLS, tool_choice="required") == [("f", "{}")]


def test_the_tokens_a_parser_must_see() -> None:
    assert format_of().shown_tokens == {"<think>", "</think>"}
    assert format_of(tools=TOOLS).shown_tokens == {"<think>", "</think>", "<tool_call>", "</tool_call>"}
    assert format_of(model=MODEL(HERMES, None), tools=TOOLS, tool_choice="none").shown_tokens == frozenset()
    assert format_of(tools=TOOLS, tool_choice=NAMED).shown_tokens == frozenset()


def test_where_a_grammar_begins() -> None:
    assert format_of(opens=True).reasoning_end == "</think>"
    assert format_of().reasoning_end is None


def test_finish_reasons() -> None:
    free, named = format_of(tools=TOOLS), format_of(tools=TOOLS, tool_choice=NAMED)
    required = format_of(tools=TOOLS, tool_choice="required")
    assert (free.forces_calls, required.forces_calls, named.forces_calls) == (False, True, True)
    assert [form.finish_reason("stop", 1) for form in (free, required, named)] == ["tool_calls", "tool_calls", "stop"]
    assert free.finish_reason("stop", 0) == "stop"
    assert free.finish_reason("length", 1) == "length"


@pytest.mark.parametrize(
    "fields",
    [{"tool_choice": "required"}, {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "h"}}}],
)
def test_choices_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        format_of(**fields)
    assert (caught.value.param or "").startswith("tool_choice")


@given(
    st.lists(st.sampled_from([THOUGHTS, CALL, "x", "\n", "<think>", "</think>", "<tool_call>", "{"]), max_size=6),
    st.data(),
)
def test_any_division_gives_the_same(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    make = format_of(data.draw(st.booleans()), tools=TOOLS).parser
    assert read(make, deltas) == read(make, [text])
