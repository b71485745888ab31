"""Thinking, calls and templates through a real frontend: streamed and whole answers say the same."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from ipc.messages import FinishReason, SubmitGenerate
from tests.support.frontend_under_test import DEADLINE_S, FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text

pytestmark = pytest.mark.process

TEMPLATE = """{# calls: <tool_call>, thoughts: <think></think> #}
{%- for message in messages %}{{ message.role ~ ': ' ~ message.content ~ '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ 'assistant: ' }}{% if enable_thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}"""
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": [1, 2]}}\n</tool_call>'
TOOLS: list[ChatCompletionToolParam] = [{"type": "function", "function": {"name": "f"}}]
Pair = tuple[FrontendUnderTest, ScriptedScheduler]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        template = Path(folder) / "thinks.jinja"
        template.write_text(TEMPLATE)
        scheduler = ScriptedScheduler(Path(folder))
        frontend = FrontendUnderTest(
            Path(folder),
            scheduler.address,
            fake_cards(),
            chat_template=str(template),
            trust_request_chat_template=True,
        )
        try:
            frontend.load_models()
            yield frontend, scheduler
        finally:
            frontend.close()
            scheduler.close()


def answers(pair: Pair, text: str, **fields: Any) -> list[dict[str, Any]]:
    """The message of the whole answer and of the streamed one, whose deltas are joined."""
    frontend, scheduler = pair
    scheduler.forget()
    scheduler.answer = answers_text(text, FinishReason.STOP)
    asked: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS, **fields}
    with openai.OpenAI(base_url=f"{frontend.url}/v1", api_key="none", max_retries=0, timeout=DEADLINE_S) as api:
        message = api.chat.completions.create(**asked).choices[0].message.model_dump()
        streamed: dict[str, Any] = {}
        calls: list[dict[str, Any]] = []
        for chunk in api.chat.completions.create(stream=True, **asked):
            delta = chunk.choices[0].delta.model_dump(exclude_unset=True)
            for key in ("content", "reasoning", "reasoning_content"):
                if key in delta:
                    streamed[key] = streamed.get(key, "") + delta[key]
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    calls.append({"name": call["function"]["name"], "arguments": ""})
                calls[-1]["arguments"] += call["function"].get("arguments", "")
    whole = {key: message.get(key) for key in ("content", "reasoning", "reasoning_content")}
    of_message = [
        {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
        for call in message.get("tool_calls") or ()
    ]
    return [whole | {"calls": of_message}, streamed | {"calls": calls}]


def test_thinking_content_and_calls(pair: Pair) -> None:
    for answer in answers(pair, f"<think>\nHm.\n</think>\n\nI look.\n{CALL}"):
        assert answer["reasoning"] == answer["reasoning_content"] == "Hm."
        assert answer["content"] == "I look.\n"
        assert answer["calls"] == [{"name": "f", "arguments": '{"x": [1, 2]}'}]


def test_thinking_that_the_prompt_has_opened(pair: Pair) -> None:
    for answer in answers(pair, "Hm.</think>Yes.", extra_body={"chat_template_kwargs": {"enable_thinking": True}}):
        assert (answer["reasoning"], answer["content"]) == ("Hm.", "Yes.")
    prompt = pair[1].next(SubmitGenerate).prompt
    assert bytes(prompt[0::4]).decode() == "user: hi\nassistant: <think>\n"


def test_thinking_that_nobody_wants(pair: Pair) -> None:
    for answer in answers(pair, "<think>Hm.</think>Yes.", extra_body={"include_reasoning": False}):
        assert answer.get("reasoning") is None
        assert answer["content"] == "Yes."


def test_a_template_of_the_request(pair: Pair) -> None:
    frontend, scheduler = pair
    scheduler.forget()
    scheduler.answer = answers_text("ok", FinishReason.STOP)
    url = f"{frontend.url}/v1/chat/completions"
    body = {"messages": [{"role": "user", "content": "hi"}], "chat_template": "<{{ messages[0].content }}>"}
    assert httpx.post(url, json=body, timeout=DEADLINE_S).status_code == 200
    assert bytes(scheduler.next(SubmitGenerate).prompt[0::4]) == b"<hi>"
    refused = httpx.post(url, json=body | {"chat_template": "{{ raise_exception('no') }}"}, timeout=DEADLINE_S)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "chat_template"
