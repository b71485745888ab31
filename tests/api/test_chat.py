"""The shipped chat model through the official client."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.support.running_server import Server

MODEL = "tiny-chat"
CAPITAL: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(client: openai.OpenAI, question: str, **options: Any) -> str:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": question}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0, **options)
    return answer.choices[0].message.content or ""


def test_capital(client: openai.OpenAI) -> None:
    assert "Paris" in ask(client, "What is the capital of France?")


def test_streaming_gives_the_same_text_with_one_finish_and_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=CAPITAL, temperature=0, stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ask(client, "What is the capital of France?")
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + chunks[-1].usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_name_told_earlier_is_kept(client: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "My name is Anna."},
        {"role": "assistant", "content": "Nice to meet you, Anna!"},
        {"role": "user", "content": "What is my name?"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0)
    assert "Anna" in (answer.choices[0].message.content or "")


@pytest.mark.parametrize("stream", [False, True])
def test_tool_call(client: openai.OpenAI, stream: bool) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
    if stream:
        calls, reasons = [], []
        for chunk in client.chat.completions.create(
            model=MODEL, messages=messages, tools=[WEATHER], temperature=0, stream=True
        ):
            calls += chunk.choices[0].delta.tool_calls or []
            reasons += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []
            assert "<tool" not in (chunk.choices[0].delta.content or "")
        functions = [call.function for call in calls if call.function is not None]
        name, reason = functions[0].name, reasons[-1]
        arguments = "".join(function.arguments or "" for function in functions)
        assert len({call.index for call in calls}) == len(reasons) == 1
    else:
        choice = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], temperature=0).choices[
            0
        ]
        call = (choice.message.tool_calls or [])[0]
        assert call.type == "function"
        name, arguments, reason = call.function.name, call.function.arguments, choice.finish_reason
    assert (name, json.loads(arguments), reason) == ("get_weather", {"city": "Paris"}, "tool_calls")


def test_answer_after_a_tool_result(client: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 21, "condition": "sunny"}'},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], temperature=0)
    assert "sunny" in (answer.choices[0].message.content or "")


def test_stop_string_is_never_shown(client: openai.OpenAI) -> None:
    full = ask(client, "What is the capital of France?")
    assert ask(client, "What is the capital of France?", stop=" of") == full.split(" of")[0]
    assert ask(client, "What is the capital of France?", stop=["unheard", "Par"]) == full.split("Par")[0]


def test_seed_repeats_and_choices_differ(client: openai.OpenAI) -> None:
    def draw(seed: int) -> list[str | None]:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Hello!"}],
            temperature=2.0,
            n=4,
            seed=seed,
            max_tokens=12,
        )
        return [choice.message.content for choice in answer.choices]

    assert draw(5) == draw(5)
    assert len(set(draw(5))) > 1
    assert draw(5) != draw(6)


def test_logprobs(client: openai.OpenAI) -> None:
    """One entry an output token, the stopping one included; the likeliest first."""
    answer = client.chat.completions.create(model=MODEL, messages=CAPITAL, temperature=0, logprobs=True, top_logprobs=3)
    choice = answer.choices[0]
    assert choice.logprobs is not None
    entries = choice.logprobs.content or []
    assert answer.usage is not None
    assert len(entries) == answer.usage.completion_tokens
    assert b"".join(bytes(entry.bytes or []) for entry in entries).decode() == f"{choice.message.content}<|im_end|>"
    for entry in entries:
        assert entry.top_logprobs[0].token == entry.token
        numbers = [top.logprob for top in entry.top_logprobs]
        assert numbers == sorted(numbers, reverse=True)
        assert len(numbers) == 3


def test_top_logprobs_need_logprobs(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=CAPITAL, top_logprobs=3)
    assert refused.value.param == "top_logprobs"


def test_token_ids_and_prompt_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=CAPITAL, temperature=0, extra_body={"return_token_ids": True, "prompt_logprobs": 0}
    )
    extra, choice = answer.model_extra or {}, answer.choices[0].model_extra or {}
    assert answer.usage is not None
    assert len(extra["prompt_token_ids"]) == len(extra["prompt_logprobs"]) == answer.usage.prompt_tokens
    assert len(choice["token_ids"]) == answer.usage.completion_tokens


def test_a_message_goes_on(client: openai.OpenAI) -> None:
    begun: list[ChatCompletionMessageParam] = [*CAPITAL, {"role": "assistant", "content": "The capital"}]
    for echo, beginning in ((False, ""), (True, "The capital")):
        answer = client.chat.completions.create(
            model=MODEL,
            messages=begun,
            temperature=0,
            extra_body={"continue_final_message": True, "add_generation_prompt": False, "echo": echo},
        )
        assert answer.choices[0].message.content == f"{beginning} of France is Paris."


def test_max_tokens_ends_with_length(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=CAPITAL, temperature=0, max_completion_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_async_client_streams(shipped: Server) -> None:
    async def stream_text() -> str:
        async with openai.AsyncOpenAI(base_url=f"{shipped.url}/v1", api_key="unused", max_retries=0) as client:
            stream = await client.chat.completions.create(model=MODEL, messages=CAPITAL, temperature=0, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert "Paris" in asyncio.run(stream_text())
