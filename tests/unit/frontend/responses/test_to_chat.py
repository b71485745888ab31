"""A request of the Responses API and the chat request it becomes."""

from typing import Any

import msgspec
import pytest

from frontend.responses.input_items import input_items
from frontend.responses.schema import ResponsesRequest
from frontend.responses.to_chat import chat_request, num_instructions, without_turns
from frontend.schema_chat import ChatRequest
from ipc.errors import RequestError

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
CALL_OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}


def chat(**fields: Any) -> ChatRequest:
    request = msgspec.convert({"input": "Hi", **fields}, ResponsesRequest)
    return chat_request(request, input_items(request.input))


def refused(**fields: Any) -> str | None:
    with pytest.raises(RequestError) as refusal:
        chat(**fields)
    return refusal.value.param


def turns(request: ChatRequest) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in request.messages]


def test_a_string_is_what_the_user_says() -> None:
    assert turns(chat()) == [("user", "Hi")]
    assert turns(chat(instructions="Be brief.")) == [("system", "Be brief."), ("user", "Hi")]


def test_what_the_model_said_in_one_turn_is_one_message() -> None:
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]}
    request = chat(input=[{"role": "user", "content": "Hi"}, REASONING, answer, CALL, CALL_OUTPUT])
    assert turns(request) == [("user", "Hi"), ("assistant", "Let me see."), ("tool", "seen")]
    said, result = request.messages[1], request.messages[2]
    assert said.reasoning_content == "hm"
    assert said.tool_calls is not None
    assert [(call.id, call.function.name) for call in said.tool_calls] == [("c1", "look")]
    assert result.tool_call_id == "c1"


def test_calls_alone_have_no_content_and_thinking_begins_a_turn() -> None:
    request = chat(input=[CALL, REASONING, {"role": "assistant", "content": "Done."}])
    assert turns(request) == [("assistant", None), ("assistant", "Done.")]
    assert request.messages[1].reasoning_content == "hm"


def test_fields_of_other_names() -> None:
    request = chat(
        max_output_tokens=7,
        tools=[TOOL],
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
        reasoning={"effort": "low", "summary": "auto"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        include=["message.output_text.logprobs"],
        seed=3,
    )
    assert (request.max_completion_tokens, request.reasoning_effort, request.seed) == (7, "low", 3)
    assert request.tools is not None
    assert (request.tools[0].function.name, request.tools[0].function.strict) == ("look", True)
    assert msgspec.to_builtins(request.tool_choice) == {"type": "function", "function": {"name": "look"}}
    assert request.parallel_tool_calls is False
    assert request.response_format is not None
    assert request.response_format.json_schema is not None
    assert request.response_format.json_schema.schema == {"type": "object"}
    assert (request.logprobs, request.top_logprobs) == (True, 0)


def test_some_of_the_tools() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}
    tools = [{"type": "function", "function": {"name": "look"}}]
    asked = msgspec.to_builtins(chat(tools=[TOOL], tool_choice=choice).tool_choice)
    assert asked == {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "nobody", "content": "x"}]}, "input[0].role"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [CALL, {"type": "item_reference", "id": "x"}]}, "input[1].type"),
        ({"input": [{"type": ["x"]}]}, "input[0].type"),
        ({"tools": [{"type": "mcp"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.tools"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
    ],
)
def test_refusals_name_the_field(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


def test_older_turns_go_and_instructions_stay() -> None:
    conversation = [
        {"role": role, "content": str(n)} for n, role in enumerate(("developer", "user", "assistant", "user"))
    ]
    request = chat(input=conversation, instructions="Be brief.")
    assert num_instructions(request) == 2
    assert [content for _, content in turns(without_turns(request, 4))] == ["Be brief.", "0", "3"]
