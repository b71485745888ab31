"""What a template is given of messages and tools."""

from typing import Any

import pytest
from msgspec import convert

from frontend.chat_messages import Turn, message_text, template_messages, template_tools, with_written_arguments
from frontend.content_form import ContentForm
from frontend.schema_chat import Message, Tool
from ipc.errors import RequestError

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


def turns_of(*messages: dict[str, Any], form: ContentForm = ContentForm.TEXT, developer: bool = False) -> list[Turn]:
    return template_messages(convert(list(messages), list[Message]), form, developer)


def test_plain_turns() -> None:
    assert turns_of({"role": "user", "content": "hi", "name": "Ann"}) == [
        {"role": "user", "content": "hi", "name": "Ann"}
    ]


@pytest.mark.parametrize(
    ("form", "text", "parts"),
    [
        (ContentForm.TEXT, "a", "a\nb\nno"),
        (ContentForm.EITHER, "a", [{"type": "text", "text": text} for text in ("a", "b", "no")]),
        (
            ContentForm.PARTS,
            [{"type": "text", "text": "a"}],
            [{"type": "text", "text": text} for text in ("a", "b", "no")],
        ),
    ],
)
def test_content_in_each_form(form: ContentForm, text: Any, parts: Any) -> None:
    given = [
        {"type": "text", "text": "a"},
        {"type": "input_text", "text": "b"},
        {"type": "refusal", "refusal": "no"},
    ]
    turns = turns_of({"role": "user", "content": "a"}, {"role": "user", "content": given}, form=form)
    assert [turn["content"] for turn in turns] == [text, parts]


def test_tool_round_trip() -> None:
    turns = turns_of(
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "Hm."},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    )
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    assert turns == [
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ]
    written = with_written_arguments(turns)
    assert written[0]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert written[1] == turns[1]


def test_the_old_form_of_calls() -> None:
    turns = turns_of(
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "42"},
    )
    assert turns[0]["tool_calls"] == [{"type": "function", "function": {"name": "f", "arguments": {}}}]
    assert turns[1] == {"role": "tool", "name": "f", "content": "42"}


def test_a_refusal_is_what_the_assistant_said() -> None:
    assert turns_of({"role": "assistant", "refusal": "No."})[0]["content"] == "No."


def test_developer_is_system_for_templates_that_do_not_know_it() -> None:
    message = {"role": "developer", "content": "x"}
    assert turns_of(message)[0]["role"] == "system"
    assert turns_of(message, developer=True)[0]["role"] == "developer"


def test_offered_tools() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    assert template_tools([convert(tool, Tool)]) == [tool]
    assert template_tools([]) is None


def test_the_text_of_a_message() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}, {"type": "text"}]
    assert message_text(convert({"role": "user", "content": parts}, Message)) == "a\nb\n"
    assert message_text(Message("assistant")) == ""


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user", "content": [{"type": "refusal"}]}, "messages[0].content[0].refusal"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_refusals_name_the_place(message: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        turns_of(message)
    assert caught.value.param == param
