"""A request of the Messages API and the chat request it becomes."""

from typing import Any

import msgspec
import pytest

from frontend.anthropic.schema import CountTokensRequest, MessagesRequest
from frontend.anthropic.to_chat import chat_request
from frontend.schema_chat import ChatRequest
from ipc.errors import RequestError

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
USER = {"role": "user", "content": "Hi"}
CALL = {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "seen"}]}


def chat(*messages: Any, **fields: Any) -> ChatRequest:
    body = {"messages": list(messages) or [USER], "max_tokens": 9, **fields}
    return chat_request(msgspec.convert(body, MessagesRequest))


def turns(request: ChatRequest) -> list[tuple[str, Any]]:
    return [(message.role, message.content) for message in request.messages]


def test_blocks_become_messages() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "x"}
    request = chat(
        USER,
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "Let me see."}, CALL]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]},
        system=[{"type": "text", "text": "Be"}, {"type": "text", "text": "brief.", "cache_control": {"type": "x"}}],
    )
    assert turns(request) == [
        ("system", "Be\nbrief."),
        ("user", "Hi"),
        ("assistant", "Let me see."),
        ("tool", "seen"),
        ("user", "And\nnow?"),
    ]
    said, result = request.messages[2], request.messages[3]
    assert said.reasoning_content == "hm"
    assert said.tool_calls is not None
    assert (said.tool_calls[0].id, said.tool_calls[0].function.arguments) == ("c1", '{"a":1}')
    assert result.tool_call_id == "c1"


def test_a_failed_tool_says_so() -> None:
    request = chat(
        USER, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT | {"is_error": True}]}
    )
    assert turns(request)[1:] == [("assistant", None), ("tool", "Error: seen")]


def test_fields_of_other_names() -> None:
    request = chat(stop_sequences=["x"], temperature=0.5, top_k=3, top_p=0.9, tools=[TOOL])
    assert (request.max_completion_tokens, request.stop) == (9, ["x"])
    assert (request.temperature, request.top_k, request.top_p) == (0.5, 3, 0.9)
    assert request.tools is not None
    assert request.tools[0].function.parameters == {"type": "object"}


@pytest.mark.parametrize(
    ("choice", "becomes", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "none"}, "none", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "look"}, {"type": "function", "function": {"name": "look"}}, None),
    ],
)
def test_which_tools_are_called(choice: dict[str, Any], becomes: Any, parallel: bool | None) -> None:
    request = chat(tools=[TOOL], tool_choice=choice)
    assert msgspec.to_builtins(request.tool_choice) == becomes
    assert request.parallel_tool_calls is parallel


def test_the_switch_of_thinking() -> None:
    assert chat().chat_template_kwargs is None
    on, off = {"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}
    assert chat(thinking=on).chat_template_kwargs == {"enable_thinking": True, "thinking": True}
    assert chat(thinking=off).chat_template_kwargs == {"enable_thinking": False, "thinking": False}


def test_a_form_and_an_effort() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    for fields in ({"output_format": form}, {"output_config": {"format": form, "effort": "low"}}):
        request = chat(**fields)
        assert request.response_format is not None
        assert request.response_format.json_schema is not None
        assert request.response_format.json_schema.schema == {"type": "object"}
    assert request.reasoning_effort == "low"


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    assert chat(USER).continue_final_message is None
    begun = chat(USER, {"role": "assistant", "content": "The answer is"})
    assert (begun.continue_final_message, begun.add_generation_prompt) == (True, False)
    called = chat(USER, {"role": "assistant", "content": [CALL]})
    assert called.continue_final_message is None


def test_counting_needs_no_limit() -> None:
    request = chat_request(msgspec.convert({"messages": [USER]}, CountTokensRequest))
    assert turns(request) == [("user", "Hi")]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [RESULT | {"tool_use_id": None}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {"messages": [{"role": "user", "content": [RESULT | {"content": [{"type": "image"}]}]}]},
            "messages[0].content[0].content[0].type",
        ),
        ({"messages": [{"role": "assistant", "content": [CALL | {"name": None}]}]}, "messages[0].content[0].name"),
        (
            {"messages": [{"role": "assistant", "content": [CALL | {"input": {"a": 1 << 70}}]}]},
            "messages[0].content[0].input",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "messages"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": [{"name": "bash", "type": "bash_20250124"}]}, "tools[0].type"),
        ({"tools": [{"name": "look"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ],
)
def test_refusals_name_the_field(fields: dict[str, Any], param: str) -> None:
    body = {"messages": [USER], "max_tokens": 9} | fields
    with pytest.raises(RequestError) as refused:
        chat_request(msgspec.convert(body, MessagesRequest))
    assert refused.value.param == param
