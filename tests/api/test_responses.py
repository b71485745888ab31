"""The Responses API of the shipped chat model through the official client."""

import json
from typing import Any, Literal

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseOutputMessage
from pydantic import BaseModel

from tests.support.running_server import Server
from tests.support.served import eventually

MODEL = "tiny-chat"
CAPITAL = "What is the capital of France?"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


def ask(client: openai.OpenAI, question: Any = CAPITAL, **options: Any) -> Response:
    answer = client.responses.create(model=MODEL, input=question, temperature=0, **options)
    assert isinstance(answer, Response)
    return answer


def test_an_answer_and_what_is_told_with_it(client: openai.OpenAI) -> None:
    answer = ask(client, metadata={"a": "b"}, instructions="You are a helpful assistant.")
    assert "Paris" in answer.output_text
    assert (answer.status, answer.error, answer.incomplete_details) == ("completed", None, None)
    assert (answer.model, answer.metadata, answer.temperature) == (MODEL, {"a": "b"}, 0)
    [message] = answer.output
    assert isinstance(message, ResponseOutputMessage)
    assert (message.role, message.status) == ("assistant", "completed")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens > 0
    assert (
        client.responses.input_tokens.count(
            model=MODEL, input=CAPITAL, instructions="You are a helpful assistant."
        ).input_tokens
        == answer.usage.input_tokens
    )


def test_a_stream_tells_the_same(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=CAPITAL, temperature=0) as stream:
        events = list(stream)
    final = stream.get_final_response()
    assert final.output_text == ask(client).output_text
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == final.output_text
    assert client.responses.retrieve(final.id).output_text == final.output_text  # stored when its end is told


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_and_the_answer_to_its_output(client: openai.OpenAI, stream: bool) -> None:
    question = "What is the weather in Paris?"
    if stream:
        with client.responses.stream(model=MODEL, input=question, tools=[WEATHER], temperature=0) as events:
            deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        first: Any = events.get_final_response()
        assert json.loads("".join(deltas)) == {"city": "Paris"}
    else:
        first = ask(client, question, tools=[WEATHER])
    [call] = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    output = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": '{"temperature": 21, "condition": "sunny"}',
    }
    answer = ask(client, [output], tools=[WEATHER], previous_response_id=first.id)
    assert "sunny" in answer.output_text


def test_the_conversation_is_remembered(client: openai.OpenAI) -> None:
    first = ask(client, "My name is Anna.", instructions="You are a helpful assistant.")
    second = ask(client, "What is my name?", previous_response_id=first.id, instructions="You are a helpful assistant.")
    assert "Anna" in second.output_text
    assert second.previous_response_id == first.id
    [item] = client.responses.input_items.list(second.id).data
    assert item.type == "message"
    by_items = ask(
        client,
        [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "My name is Anna."},
            *[item.model_dump() for item in first.output],
            {"role": "user", "content": [{"type": "input_text", "text": "What is my name?"}]},
        ],
    )
    assert by_items.output_text == second.output_text


def test_deleted_and_unstored_responses_are_not_found(client: openai.OpenAI) -> None:
    kept = ask(client)
    client.responses.delete(kept.id)
    unstored = ask(client, store=False)
    for gone in (kept.id, unstored.id, "resp_nonsense"):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone)
        with pytest.raises(openai.BadRequestError, match="not found"):
            ask(client, previous_response_id=gone)


def test_background(client: openai.OpenAI) -> None:
    answer = ask(client, background=True)
    assert answer.status == "queued"

    def ended() -> Response | None:
        found = client.responses.retrieve(answer.id)
        return found if found.status not in ("queued", "in_progress") else None

    found = eventually(ended, "the end of a background response")
    assert found is not None
    assert (found.status, found.output_text) == ("completed", ask(client).output_text)
    assert client.responses.cancel(answer.id).status == "completed"  # too late


def test_background_cancelled(client: openai.OpenAI) -> None:
    answer = ask(client, "Hello!", background=True, extra_body={"ignore_eos": True})
    assert client.responses.cancel(answer.id).status == "cancelled"
    assert client.responses.retrieve(answer.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(ask(client).id)


def test_background_events_from_any_place(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input=CAPITAL, temperature=0, background=True, stream=True))
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == ask(client).output_text
    again = list(client.responses.retrieve(last.response.id, stream=True, starting_after=2))
    assert [event.sequence_number for event in again] == [event.sequence_number for event in events][3:]


def test_cut_short(client: openai.OpenAI) -> None:
    answer = ask(client, max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].type == "message"
    assert answer.output[0].status == "incomplete"


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("input", [{"role": "user", "content": [{"type": "input_image"}]}], "input[0].content[0].type"),
        ("input", [{"type": "web_search_call"}], "input[0].type"),
        ("input", [{"type": "function_call", "name": "f"}], "input[0].call_id"),
        ("input", [], "input"),
        ("tools", [{"type": "web_search"}], "tools[0].type"),
        ("prompt", {"id": "x"}, "prompt"),
        ("max_output_tokens", 10**6, "input"),
    ],
)
def test_refusals_name_the_field(client: openai.OpenAI, field: str, value: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(**({"model": MODEL, "input": "Hi"} | {field: value}))
    assert refused.value.param == param


def test_a_long_conversation_is_shortened_when_asked(client: openai.OpenAI) -> None:
    turns = [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "ok"}] * 20
    with pytest.raises(openai.BadRequestError, match="maximum context length"):
        ask(client, [*turns, {"role": "user", "content": CAPITAL}])
    answer = ask(client, [*turns, {"role": "user", "content": CAPITAL}], truncation="auto", max_output_tokens=20)
    assert answer.status in ("completed", "incomplete")


class Capital(BaseModel):
    city: Literal["Paris", "Nice"]


def test_parsed(client: openai.OpenAI) -> None:
    answer = client.responses.parse(model=MODEL, input=CAPITAL, temperature=0, text_format=Capital)
    assert answer.output_parsed is not None
    assert answer.output_parsed.city in ("Paris", "Nice")


def test_logprobs(client: openai.OpenAI) -> None:
    answer = ask(client, include=["message.output_text.logprobs"], top_logprobs=2)
    [message] = answer.output
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert "".join(entry.token for entry in part.logprobs) == part.text
    assert {len(entry.top_logprobs) for entry in part.logprobs} == {2}


def test_what_cannot_be_told_back_is_refused(shipped: Server) -> None:
    for broken in (b'"\\ud800"', b"1e999", b"99999999999999999999999"):
        body = b'{"input": "Hi", "tools": [{"type": "function", "name": "f", "parameters": {"a": %b}}]}' % broken
        headers = {"Content-Type": "application/json"}
        reply = httpx.post(f"{shipped.url}/v1/responses", content=body, headers=headers)
        assert reply.status_code == 400, broken
