"""The messages and tools of a request as chat templates know them.

What templates expect differs a little from what the API takes: fields that were not sent are absent, a call's arguments
are an object and not JSON text, and OpenAI's old names are replaced by the new ones.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from frontend.content_form import ContentForm
from frontend.schema_chat import ContentPart, FunctionCall, Message, MessageToolCall, Tool
from ipc.errors import ErrorCode, RequestError

Turn = dict[str, Any]

_TEXT_PARTS = ("text", "input_text", "output_text")


def template_messages(messages: Sequence[Message], form: ContentForm, knows_developer: bool) -> list[Turn]:
    """`knows_developer`: the template has a role of this name; else it is the system's. Raises RequestError."""
    turns = [_turn(message, f"messages[{place}]", form) for place, message in enumerate(messages)]
    if not knows_developer:  # many templates drop roles they do not know without a word
        turns = [turn | {"role": "system"} if turn["role"] == "developer" else turn for turn in turns]
    return turns


def with_written_arguments(turns: Sequence[Turn]) -> list[Turn]:
    """The same with arguments as JSON text: what some templates, DeepSeek's among them, expect."""
    return [
        turn | {"tool_calls": [_written(call) for call in turn["tool_calls"]]} if "tool_calls" in turn else turn
        for turn in turns
    ]


def template_tools(tools: Sequence[Tool]) -> list[dict[str, Any]] | None:
    """None when there are none."""
    return [_tool(tool) for tool in tools] or None


def message_text(message: Message) -> str:
    """All text of a message."""
    if isinstance(message.content, list):
        return "\n".join(_part_text(part) or "" for part in message.content)
    return message.content or ""


def _turn(message: Message, path: str, form: ContentForm) -> Turn:
    role = "tool" if message.role == "function" else message.role
    turn: Turn = {"role": role, "content": _content(message, path, form)}
    reasoning = message.reasoning_content if message.reasoning_content is not None else message.reasoning
    fields = {"name": message.name, "tool_call_id": message.tool_call_id, "reasoning_content": reasoning}
    turn.update({key: value for key, value in fields.items() if value is not None})
    calls = [_call(call, f"{path}.tool_calls[{number}]") for number, call in enumerate(message.tool_calls or ())]
    if message.function_call is not None:
        calls.append({"type": "function", "function": _function(message.function_call, f"{path}.function_call")})
    if calls:
        turn["tool_calls"] = calls
    return turn


def _content(message: Message, path: str, form: ContentForm) -> str | list[dict[str, Any]]:
    content = message.content
    if content is None and message.refusal is not None:
        content = message.refusal
    if content is None:
        if message.role != "assistant":
            param = f"{path}.content"
            raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}'.", param)
        content = ""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if form is ContentForm.PARTS and content else content
    texts = [_checked_text(part, f"{path}.content[{number}]") for number, part in enumerate(content)]
    if form is ContentForm.TEXT:
        return "\n".join(texts)
    return [{"type": "text", "text": text} for text in texts]


def _checked_text(part: ContentPart, path: str) -> str:
    if part.type not in _TEXT_PARTS and part.type != "refusal":
        refusal = f"Content parts of type '{part.type[:64]}' are not supported yet; only text is."
        raise RequestError(ErrorCode.INVALID_REQUEST, refusal, f"{path}.type")
    text = _part_text(part)
    if text is None:
        field = f"{path}.{'refusal' if part.type == 'refusal' else 'text'}"
        raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{field}'.", field)
    return text


def _part_text(part: ContentPart) -> str | None:
    return part.refusal if part.type == "refusal" else part.text


def _call(call: MessageToolCall, path: str) -> dict[str, Any]:
    turn: dict[str, Any] = {"type": call.type, "function": _function(call.function, f"{path}.function")}
    return turn if call.id is None else {"id": call.id} | turn


def _function(call: FunctionCall, path: str) -> dict[str, Any]:
    arguments = call.arguments
    if isinstance(arguments, str) or arguments is None:
        param = f"{path}.arguments"
        try:
            arguments = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' is not valid JSON.", param) from None
        if not isinstance(arguments, dict):
            raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' must be a JSON object.", param)
    return {"name": call.name, "arguments": arguments}


def _written(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return call | {"function": function | {"arguments": orjson.dumps(function["arguments"]).decode()}}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    if tool.function.parameters is not None:
        function["parameters"] = tool.function.parameters
    if tool.function.strict is not None:
        function["strict"] = tool.function.strict
    return {"type": tool.type, "function": function}
