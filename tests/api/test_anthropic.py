"""The Messages API of the shipped chat model through Anthropic's official client."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from tests.support.running_server import Server

MODEL = "tiny-chat"
CAPITAL = "What is the capital of France?"
COLD = {"temperature": 0}  # newer clients have no argument for it
WEATHER: Any = {
    "name": "get_weather",
    "description": "Get the current weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def messages(shipped: Server) -> Iterator[anthropic.resources.Messages]:
    with anthropic.Anthropic(base_url=shipped.url, api_key="unused", timeout=60.0, max_retries=0) as client:
        yield client.messages


def ask(messages: anthropic.resources.Messages, conversation: Any = CAPITAL, **options: Any) -> Message:
    if isinstance(conversation, str):
        conversation = [{"role": "user", "content": conversation}]
    answer = messages.create(**({"max_tokens": 100} | options), model=MODEL, messages=conversation, extra_body=COLD)
    assert isinstance(answer, Message)
    return answer


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_an_answer_and_what_is_told_with_it(messages: anthropic.resources.Messages) -> None:
    answer = ask(messages, system="You are a helpful assistant.")
    assert "Paris" in text_of(answer)
    assert (answer.role, answer.model, answer.stop_reason, answer.stop_sequence) == (
        "assistant",
        MODEL,
        "end_turn",
        None,
    )
    counted = messages.count_tokens(
        model=MODEL, messages=[{"role": "user", "content": CAPITAL}], system="You are a helpful assistant."
    )
    usage = answer.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == counted.input_tokens
    assert usage.output_tokens > 0


def test_a_stream_tells_the_same(messages: anthropic.resources.Messages) -> None:
    conversation: Any = [{"role": "user", "content": CAPITAL}]
    raw = messages.create(model=MODEL, messages=conversation, max_tokens=100, extra_body=COLD, stream=True)
    kinds = [event.type for event in raw]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    with messages.stream(model=MODEL, messages=conversation, max_tokens=100, extra_body=COLD) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    whole = ask(messages)
    assert text == text_of(final) == text_of(whole)
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_and_the_answer_to_its_result(messages: anthropic.resources.Messages, stream: bool) -> None:
    conversation: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    if stream:
        with messages.stream(
            model=MODEL, messages=conversation, tools=[WEATHER], max_tokens=100, extra_body=COLD
        ) as events:
            answer: Any = events.get_final_message()
    else:
        answer = ask(messages, conversation, tools=[WEATHER])
    assert answer.stop_reason == "tool_use"
    [call] = answer.content
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"temperature": 21, "condition": "sunny"}'}
    conversation += [
        {"role": "assistant", "content": [block.model_dump() for block in answer.content]},
        {"role": "user", "content": [result]},
    ]
    assert "sunny" in text_of(ask(messages, conversation, tools=[WEATHER]))


def test_a_named_tool_is_called(messages: anthropic.resources.Messages) -> None:
    cities = {"type": "object", "properties": {"city": {"enum": ["Paris", "Nice"]}}, "required": ["city"]}
    choice = {"type": "tool", "name": "get_weather"}
    answer = ask(messages, "Hello!", tools=[WEATHER | {"input_schema": cities}], tool_choice=choice)
    assert answer.stop_reason == "tool_use"
    [call] = answer.content
    assert call.type == "tool_use"
    assert call.input["city"] in ("Paris", "Nice")


def test_why_it_stopped(messages: anthropic.resources.Messages) -> None:
    assert ask(messages, max_tokens=2).stop_reason == "max_tokens"
    stopped = ask(messages, stop_sequences=["unheard", "Par"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Par")
    assert "Par" not in text_of(stopped)


def test_an_answer_that_was_begun_goes_on(messages: anthropic.resources.Messages) -> None:
    full = text_of(ask(messages))
    begun = full[: len(full) // 2].rstrip()
    conversation = [{"role": "user", "content": CAPITAL}, {"role": "assistant", "content": begun}]
    assert begun + text_of(ask(messages, conversation)) == full


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "'image'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"max_tokens": 10**6}, "maximum context length"),
    ],
)
def test_refusals_have_anthropics_shape(
    messages: anthropic.resources.Messages, wrong: dict[str, Any], says: str
) -> None:
    usual: dict[str, Any] = {"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(anthropic.BadRequestError, match=says) as refused:
        messages.create(**(usual | wrong))
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")


def test_an_unknown_model_is_not_found(messages: anthropic.resources.Messages) -> None:
    with pytest.raises(anthropic.NotFoundError):
        messages.create(model="nobody", max_tokens=10, messages=[{"role": "user", "content": "Hi"}])
