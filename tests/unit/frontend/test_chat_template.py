"""What a template is given, and what happens when it refuses."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from jinja2 import TemplateError

from frontend.byte_tokenizer import BYTE_CHAT_TEMPLATE
from frontend.chat_template import ChatTemplate
from frontend.schema_chat import Message, Tool
from frontend.text_model import load_text_models
from ipc.errors import RequestError, StartupError
from ipc.fake_card import fake_card


def seen_by_template(
    *messages: dict[str, Any], source: str = "", tools: list[Any] | None = None
) -> list[dict[str, Any]]:
    """The turns a template is rendered with."""
    seen: list[dict[str, Any]] = []

    def render(turns: list[dict[str, Any]], offered: list[dict[str, Any]] | None, add: bool) -> str:
        seen.extend(turns)
        seen.append({"tools": offered, "add": add})
        return ""

    template = ChatTemplate(source, render)
    template.prompt(msgspec.convert(list(messages), list[Message]), msgspec.convert(tools or [], list[Tool]), True)
    return seen


def test_plain_turns() -> None:
    assert seen_by_template({"role": "user", "content": "hi"}) == [
        {"role": "user", "content": "hi"},
        {"tools": None, "add": True},
    ]


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert seen_by_template({"role": "user", "content": parts})[0]["content"] == "a\nb"


def test_tool_round_trip() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    turns = seen_by_template(
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    )
    assert turns[0] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}],
    }
    assert turns[1] == {"role": "tool", "content": "42", "tool_call_id": "c1"}


def test_offered_tools() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
    assert seen_by_template({"role": "user", "content": "x"}, tools=[tool])[-1]["tools"] == [tool]


def test_developer_is_system_for_templates_that_do_not_know_it() -> None:
    message = {"role": "developer", "content": "x"}
    assert seen_by_template(message)[0]["role"] == "system"
    assert seen_by_template(message, source="... developer ...")[0]["role"] == "developer"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_refusals_name_the_place(message: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        seen_by_template(message)
    assert caught.value.param == param


def test_a_template_that_refuses() -> None:
    def render(turns: list[dict[str, Any]], offered: list[dict[str, Any]] | None, add: bool) -> str:
        raise TemplateError("roles must alternate")

    with pytest.raises(RequestError, match="roles must alternate"):
        ChatTemplate("", render).prompt([Message("user", "x")], [], True)


def test_the_fake_models_template() -> None:
    model = load_text_models([fake_card(0, "m", "fake:generate", 0, 16, 0)], "").models[0]
    assert model.chat_template is not None
    assert model.chat_template.writes_tool_calls
    assert model.chat_template.prompt([Message("user", "hi")], [], True) == "<|user|>hi\n<|assistant|>"
    assert model.chat_template.prompt([Message("user", "hi")], [], False) == "<|user|>hi\n"
    assert "<tool_call>" in BYTE_CHAT_TEMPLATE


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("division by zero"), OverflowError("too big"), RecursionError("deep")]
)
def test_a_template_that_fails(error: Exception) -> None:
    def render(turns: list[dict[str, Any]], offered: list[dict[str, Any]] | None, add: bool) -> str:
        raise error

    with pytest.raises(RequestError, match=str(error)):
        ChatTemplate("", render).prompt([Message("user", "x")], [], True)


def test_a_given_template_can_refuse(tmp_path: Path) -> None:
    file = tmp_path / "given.jinja"
    file.write_text("{{ raise_exception('no ' ~ messages[0].role) }}")
    model = load_text_models([fake_card(0, "m", "fake:generate", 0, 16, 0)], str(file)).models[0]
    assert model.chat_template is not None
    with pytest.raises(RequestError, match="no user"):
        model.chat_template.prompt([Message("user", "x")], [], True)


@pytest.mark.parametrize("broken", ["{% if %}", "{{ x | no_such_filter }}", "{% for m in messages %}"])
def test_a_broken_given_template_ends_the_start(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "given.jinja"
    file.write_text("ok\n" + broken)
    with pytest.raises(StartupError, match=r"given\.jinja is broken in line 2: ") as caught:
        load_text_models([fake_card(0, "m", "fake:generate", 0, 16, 0)], str(file))
    assert "--chat-template" in caught.value.advice
