"""From a chat request to the model's tokens, and which fields are refused."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from msgspec import convert

from frontend import chat_prompt as module
from frontend.byte_tokenizer import ByteTokenizer
from frontend.chat_prompt import RenderedChat, chat_prompt
from frontend.chat_template import ChatTemplate, Filling
from frontend.reasoning.think import DEEPSEEK_R1, THINK
from frontend.schema_chat import MAX_MESSAGES, ChatRequest, Message
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import fake_card

TOOL = {"type": "function", "function": {"name": "f"}}


def shown(filling: Filling) -> str:
    """What a template was given, for the tests to see."""
    end = "+" if filling.add_generation_prompt else "~" if filling.continue_final_message else ""
    tools = f" tools={len(filling.tools)}" if filling.tools else ""
    return f"{[turn['content'] for turn in filling.messages]}{tools} {filling.variables}{end}"


MODEL = TextModel(
    fake_card(0, "m", "fake:generate", 0, 16, 0),
    ByteTokenizer(),
    ChatTemplate({"default": ""}, shown, {"bos_token": "<s>"}, "string"),
)


def rendered(model: TextModel = MODEL, trusts: bool = False, **fields: Any) -> RenderedChat:
    request = convert({"messages": [{"role": "user", "content": "hi"}]} | fields, ChatRequest)
    return asyncio.run(chat_prompt(request, model, trusts, 100))


def test_text_and_tokens() -> None:
    chat = rendered()
    assert chat.text == "['hi'] {'bos_token': '<s>'}+"
    assert bytes(chat.token_ids).decode() == chat.text
    assert (chat.opens_reasoning, chat.continues, chat.last_role, chat.last_text) == (False, False, "user", "hi")


def test_continuing_the_last_message() -> None:
    chat = rendered(continue_final_message=True, messages=[{"role": "assistant", "content": "so"}])
    assert chat.text.endswith("~")
    assert (chat.continues, chat.last_role, chat.last_text) == (True, "assistant", "so")
    assert rendered(add_generation_prompt=False).text.endswith("}")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
        ({"chat_template": "x"}, "chat_template"),
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        rendered(**fields)
    assert caught.value.param == param


def test_a_model_without_a_template() -> None:
    with pytest.raises(RequestError, match="has no chat template"):
        rendered(replace(MODEL, chat_template=None))


def test_variables_of_the_template() -> None:
    text = rendered(chat_template_kwargs={"x": [1], "bos_token": "!"}, reasoning_effort="low").text
    assert text == "['hi'] {'bos_token': '!', 'reasoning_effort': 'low', 'x': [1]}+"
    text = rendered(chat_template_kwargs={"thinking": True}, reasoning_effort="none").text
    assert "'enable_thinking': False, 'thinking': True" in text


def test_tools_in_the_prompt() -> None:
    assert "tools=1" in rendered(tools=[TOOL]).text
    assert "tools" not in rendered(tools=[TOOL], tool_choice="none").text
    assert "tools=1" in rendered(replace(MODEL, excludes_tools=False), tools=[TOOL], tool_choice="none").text


def test_prompts_that_end_inside_the_thinking() -> None:
    thinker = replace(MODEL, reasoning_format=THINK)
    template = ChatTemplate({"default": ""}, lambda filling: "<think>\n", {}, "string")
    assert not rendered(thinker).opens_reasoning
    assert rendered(replace(thinker, chat_template=template)).opens_reasoning
    assert rendered(replace(MODEL, reasoning_format=DEEPSEEK_R1)).opens_reasoning


def test_a_template_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    class Renderer:
        async def render(self, filling: dict[str, Any]) -> str:
            seen.append(filling)
            return "done"

    monkeypatch.setattr(module, "renderer", Renderer())
    assert rendered(trusts=True, chat_template="{{ messages }}", tools=[TOOL]).text == "done"
    assert seen[0]["variables"] == {"bos_token": "<s>"}
    assert (seen[0]["chat_template"], seen[0]["tools"]) == ("{{ messages }}", [TOOL])


@pytest.mark.parametrize("source", ["{% if %}", "{{" + "(" * 5_000, "{%" * 5_000, "x" * 200_000])
def test_a_template_of_the_request_that_cannot_be_compiled(source: str) -> None:
    with pytest.raises(RequestError) as caught:
        rendered(trusts=True, chat_template=source)
    assert caught.value.param == "chat_template"


def test_messages_are_bounded_whichever_api_they_come_from() -> None:
    """The bound was in the schema of chat only; other APIs make the request without it."""
    request = ChatRequest(messages=[Message("user", "hi")] * (MAX_MESSAGES + 1))
    with pytest.raises(RequestError) as caught:
        asyncio.run(chat_prompt(request, MODEL, False, 100))
    assert (caught.value.code, caught.value.param) == (ErrorCode.INVALID_REQUEST, "messages")
