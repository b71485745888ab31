"""Answers of a wanted form from the shipped chat model through the official client: whatever it says, they fit."""

import json
import re
from typing import Any, Literal

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

MODEL = "tiny-chat"
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
HOT = {"temperature": 1.5, "seed": 3, "max_tokens": 400}  # the form must hold however the model wanders


class Stop(BaseModel):
    city: Literal["Paris", "Rome", "Oslo"]
    nights: Literal[1, 2, 3]


class Journey(BaseModel):
    traveller: Literal["Anna", "Ben"]
    stops: list[Stop]
    cheap: bool | None


def tool(name: str, properties: dict[str, Any]) -> ChatCompletionToolParam:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters, "strict": True}}


WEATHER = tool("get_weather", {"city": {"enum": ["Paris", "Rome", "Oslo"]}, "days": {"enum": [1, 2, 3]}})
TIME = tool("get_time", {"zone": {"enum": ["CET", "UTC"]}})


def check_call(name: str, arguments: str) -> None:
    given = json.loads(arguments)
    if name == "get_weather":
        assert given.keys() == {"city", "days"}
        assert given["city"] in ("Paris", "Rome", "Oslo")
        assert given["days"] in (1, 2, 3)
    else:
        assert name == "get_time"
        assert given in ({"zone": "CET"}, {"zone": "UTC"})


@pytest.mark.parametrize("stream", [False, True])
def test_json_schema(client: openai.OpenAI, stream: bool) -> None:
    asked: Any = {"type": "json_schema", "json_schema": {"name": "stop", "schema": Stop.model_json_schema()}}
    if stream:
        chunks = client.chat.completions.create(
            model=MODEL, messages=ASK, response_format=asked, stream=True, extra_body=HOT
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        choice = client.chat.completions.create(
            model=MODEL, messages=ASK, response_format=asked, extra_body=HOT
        ).choices[0]
        assert choice.finish_reason == "stop"
        text = choice.message.content or ""
    Stop.model_validate_json(text)


def test_parse_gives_pydantic_objects(client: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Plan a journey."}]
    answer = client.chat.completions.parse(
        model=MODEL, messages=messages, response_format=Journey, temperature=0.7, seed=1, max_tokens=1500
    )
    assert isinstance(answer.choices[0].message.parsed, Journey)


def test_any_json_object(client: openai.OpenAI) -> None:
    for choice in client.chat.completions.create(
        model=MODEL, messages=ASK, response_format={"type": "json_object"}, n=4, extra_body=HOT
    ).choices:
        assert (choice.message.content or "").startswith("{")
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content or ""), dict)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_required_tools(client: openai.OpenAI, stream: bool, parallel: bool) -> None:
    request: dict[str, Any] = {"model": MODEL, "messages": ASK, "tools": [WEATHER, TIME], "tool_choice": "required"}
    request |= {"parallel_tool_calls": parallel, "temperature": 1.5, "seed": 5, "max_tokens": 1500}
    calls: dict[int, list[str]] = {}
    if stream:
        reasons = []
        for chunk in client.chat.completions.create(**request, stream=True):
            choice = chunk.choices[0]
            reasons.append(choice.finish_reason)
            assert not choice.delta.content
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, ["", ""])
                call[0] += part.function.name or ""
                call[1] += part.function.arguments or ""
        reason = reasons[-1]
    else:
        whole = client.chat.completions.create(**request).choices[0]
        reason = whole.finish_reason
        assert not whole.message.content
        for index, made in enumerate(whole.message.tool_calls or []):
            assert made.type == "function"
            calls[index] = [made.function.name, made.function.arguments]
    assert calls
    assert parallel or len(calls) == 1
    if reason != "length":
        assert reason == "tool_calls"
        for name, arguments in calls.values():
            check_call(name, arguments)


@pytest.mark.parametrize("stream", [False, True])
def test_a_named_tool(client: openai.OpenAI, stream: bool) -> None:
    request: dict[str, Any] = {"model": MODEL, "messages": ASK, "tools": [WEATHER, TIME], "extra_body": HOT}
    request["tool_choice"] = {"type": "function", "function": {"name": "get_time"}}
    if stream:
        parts = [chunk.choices[0] for chunk in client.chat.completions.create(**request, stream=True)]
        functions = [call.function for part in parts for call in part.delta.tool_calls or []]
        name = "".join(function.name or "" for function in functions)
        arguments = "".join(function.arguments or "" for function in functions)
        reason = parts[-1].finish_reason
    else:
        choice = client.chat.completions.create(**request).choices[0]
        (call,) = choice.message.tool_calls or []
        name, arguments, reason = call.function.name, call.function.arguments, choice.finish_reason
    assert (name, reason) == ("get_time", "stop")
    check_call(name, arguments)


@pytest.mark.parametrize(
    "asked",
    [
        {"structured_outputs": {"choice": ["north", "north-east", "süd"]}},
        {"guided_choice": ["north", "north-east", "süd"]},
        {"structured_outputs": {"regex": "north|north-east|süd"}},
        {"guided_regex": "north(-east)?|süd"},
        {"guided_grammar": 'start: "north" "-east"? | "süd"'},
        {"structured_outputs": {"grammar": 'root ::= "north" | "north-east" | "süd"'}},
    ],
)
def test_choice_regex_and_grammar(client: openai.OpenAI, asked: dict[str, Any]) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=ASK, n=3, extra_body=HOT | asked)
    for choice in answer.choices:
        assert choice.message.content in ("north", "north-east", "süd")
        assert choice.finish_reason == "stop"
    completion = client.completions.create(model=MODEL, prompt="The wind comes from", extra_body=HOT | asked)
    assert completion.choices[0].text in ("north", "north-east", "süd")


def test_structural_tags(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    tags = {"structures": [{"begin": "<a=", "schema": schema, "end": ">"}], "triggers": ["<a="]}
    answer = client.chat.completions.create(
        model=MODEL, messages=ASK, extra_body=HOT | {"structured_outputs": {"structural_tag": tags}}
    )
    assert "<a=" not in re.sub(r'<a=\{\s*"a": ?[12]\s*\}>', "", answer.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"guided_json": {"type": "array", "uniqueItems": True}}, "guided_json"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex"),
        ({"guided_regex": "a", "guided_choice": ["b"]}, "guided_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_cannot_be_is_refused_and_harms_nobody(client: openai.OpenAI, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=ASK, extra_body=asked)
    assert caught.value.param == param
