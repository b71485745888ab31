"""A reply in parts and the same reply whole say the same: text, thinking, calls, log-probabilities, token ids, ends and
usage. One line of CASES a feature; every event is also checked for what clients stumble over.
"""

import json
from typing import Any

import httpx
import pytest

from tests.support.running_server import Server
from tests.support.whole_and_streamed import Answer, streamed_answer, whole_answer

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
Body = dict[str, Any]

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
BEGUN = [*CAPITAL, {"role": "assistant", "content": "The capital"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WILD: Body = {"temperature": 2.0, "seed": 5, "ignore_eos": True}

CASES: dict[str, tuple[str, Body]] = {
    "text": (COMPLETIONS, {"prompt": "The capital of France is", "max_tokens": 12}),
    "several prompts and choices": (COMPLETIONS, {"prompt": ["The", "A"], "n": 3, "max_tokens": 6, **WILD}),
    "length": (COMPLETIONS, {"prompt": "1 + 1 =", "max_tokens": 3, "ignore_eos": True}),
    "stop string": (COMPLETIONS, {"prompt": "The capital of France is", "stop": ["ar", "zzz"], "max_tokens": 12}),
    "stop string included": (
        COMPLETIONS,
        {"prompt": "The capital of France is", "stop": "ar", "include_stop_str_in_output": True, "max_tokens": 12},
    ),
    "least output": (COMPLETIONS, {"prompt": "A", "min_tokens": 9, "max_tokens": 9, "stop": "e", **WILD}),
    "special tokens": (COMPLETIONS, {"prompt": "A", "skip_special_tokens": False, "max_tokens": 30, **WILD}),
    "logprobs": (COMPLETIONS, {"prompt": "The capital", "logprobs": 3, "max_tokens": 8}),
    "logprobs of half characters": (COMPLETIONS, {"prompt": "A", "logprobs": 2, "max_tokens": 40, **WILD}),
    "logprobs of choices": (COMPLETIONS, {"prompt": ["The", "A"], "n": 2, "logprobs": 0, "max_tokens": 5, **WILD}),
    "echo": (COMPLETIONS, {"prompt": "The capital of", "echo": True, "max_tokens": 5}),
    "echo of tokens": (COMPLETIONS, {"prompt": [10, 20, 30], "echo": True, "max_tokens": 5}),
    "echo with logprobs": (COMPLETIONS, {"prompt": "The capital of", "echo": True, "logprobs": 2, "max_tokens": 5}),
    "echo of choices with logprobs": (
        COMPLETIONS,
        {"prompt": ["The capital of", "A"], "n": 3, "echo": True, "logprobs": 1, "max_tokens": 4, **WILD},
    ),
    "prompt alone": (COMPLETIONS, {"prompt": ["The capital", "A"], "echo": True, "logprobs": 1, "max_tokens": 0}),
    "token ids": (COMPLETIONS, {"prompt": "The capital", "return_token_ids": True, "max_tokens": 6}),
    "tokens as ids": (
        COMPLETIONS,
        {"prompt": "The", "logprobs": 1, "return_tokens_as_token_ids": True, "max_tokens": 4},
    ),
    "cut prompt": (COMPLETIONS, {"prompt": "The capital of France is", "truncate_prompt_tokens": 2, "max_tokens": 5}),
    "penalties": (
        COMPLETIONS,
        {"prompt": "A", "presence_penalty": 1.5, "frequency_penalty": 1, "repetition_penalty": 1.2, **WILD},
    ),
    "bias": (COMPLETIONS, {"prompt": "A", "logit_bias": {"50": 100, "60": 100}, "max_tokens": 6, **WILD}),
    "allowed tokens": (COMPLETIONS, {"prompt": "A", "allowed_token_ids": [40, 50, 60], "max_tokens": 6, **WILD}),
    "bad words": (COMPLETIONS, {"prompt": "The capital of France is", "bad_words": ["Paris"], "max_tokens": 6}),
    "completion of a form": (COMPLETIONS, {"prompt": "A", "guided_choice": ["yes", "no"], "temperature": 1, "seed": 3}),
    "chat": (CHAT, {"messages": CAPITAL}),
    "chat choices": (CHAT, {"messages": CAPITAL, "n": 4, "max_tokens": 6, **WILD}),
    "chat length": (CHAT, {"messages": CAPITAL, "max_completion_tokens": 2}),
    "chat stop": (CHAT, {"messages": CAPITAL, "stop": [" of"]}),
    "chat logprobs": (CHAT, {"messages": CAPITAL, "logprobs": True, "top_logprobs": 3}),
    "chat logprobs alone": (CHAT, {"messages": CAPITAL, "logprobs": True, "max_tokens": 40, **WILD}),
    "chat token ids": (CHAT, {"messages": CAPITAL, "return_token_ids": True, "logprobs": True}),
    "chat echo": (CHAT, {"messages": BEGUN, "echo": True, "continue_final_message": True}),
    "continued message": (CHAT, {"messages": BEGUN, "continue_final_message": True}),
    "tool call": (CHAT, {"messages": WEATHER, "tools": [TOOL]}),
    "tool call with logprobs": (CHAT, {"messages": WEATHER, "tools": [TOOL], "logprobs": True, "top_logprobs": 1}),
    "no tools": (CHAT, {"messages": WEATHER, "tools": [TOOL], "tool_choice": "none"}),
    "required tool call": (CHAT, {"messages": CAPITAL, "tools": [TOOL], "tool_choice": "required", "max_tokens": 50}),
    "named tool call": (
        CHAT,
        {
            "messages": CAPITAL,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "max_tokens": 30,
        },
    ),
    "one tool call": (
        CHAT,
        {"messages": WEATHER, "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    ),
    "json": (CHAT, {"messages": CAPITAL, "response_format": {"type": "json_object"}, "max_tokens": 30}),
    "json schema": (
        CHAT,
        {
            "messages": CAPITAL,
            "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}},
            "max_tokens": 100,
        },
    ),
    "regex": (CHAT, {"messages": CAPITAL, "structured_outputs": {"regex": "[a-f]{6}"}, "logprobs": True}),
}


def complete(body: Body, name: str, number: int) -> Body:
    """Greedy unless said otherwise; prefixes that others computed are not shared, so that usage is the same."""
    return {"model": "tiny-chat", "temperature": 0, "cache_salt": f"{name} {number}"} | body


@pytest.mark.parametrize("name", CASES)
def test_streamed_equals_whole(shipped: Server, name: str) -> None:
    path, body = CASES[name]
    with httpx.Client(base_url=shipped.url, timeout=60) as client:
        whole = whole_answer(client, path, complete(body, name, 0))
        streamed = streamed_answer(client, path, complete(body, name, 1))
    assert streamed.choices.keys() == whole.choices.keys()
    for index in whole.choices:
        check_equal(streamed.choices[index], whole.choices[index])
    assert streamed.usage == whole.usage
    assert streamed.prompt_token_ids == whole.prompt_token_ids


def check_equal(streamed: dict[str, Any], whole: dict[str, Any]) -> None:
    numbers = [one.pop("numbers") for one in (streamed, whole)]
    assert json.dumps(streamed, indent=1) == json.dumps(whole, indent=1)
    assert numbers[0] == pytest.approx(numbers[1], abs=2e-3)


def test_continuous_usage_ends_with_the_usage(shipped: Server) -> None:
    body = complete({"messages": CAPITAL, "stream_options": {"continuous_usage_stats": True}}, "usage", 0)
    with httpx.Client(base_url=shipped.url, timeout=60) as client:
        answer: Answer = streamed_answer(client, CHAT, body)
    counts = [usage["completion_tokens"] for usage in answer.usages]
    assert None not in answer.usages
    assert counts == sorted(counts)
    assert answer.usages[-1] == answer.usage


@pytest.mark.parametrize(("path", "body"), [(COMPLETIONS, {"prompt": "The capital"}), (CHAT, {"messages": CAPITAL})])
def test_prompt_logprobs_have_the_described_shape(shipped: Server, path: str, body: Body) -> None:
    """They are not to be had in a stream."""
    with httpx.Client(base_url=shipped.url, timeout=60) as client:
        asked = complete(body | {"prompt_logprobs": 2, "max_tokens": 2, "logprobs": False}, "prompt", 0)
        whole_answer(client, path, asked)
        refused = client.post(path, json=asked | {"stream": True})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt_logprobs")
