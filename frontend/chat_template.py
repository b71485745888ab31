"""Messages to prompt text, through the model's Jinja template in transformers' sandbox.

What templates expect differs a little from what the API takes: text parts are joined to one string, a call's
arguments are an object and not JSON text, and fields that were not sent are absent.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from jinja2 import TemplateError

from frontend.parse_tool_calls import OPEN_TAG
from frontend.schema_chat import Message, MessageToolCall, Tool
from ipc.errors import ErrorCode, RequestError

# what a template can raise on a conversation it was not written for
_TEMPLATE_FAILURES = (
    TemplateError,
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    IndexError,
    ArithmeticError,
    RecursionError,
)

Render = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None, bool], str]


class ChatTemplate:
    """One model's template. `render` fills it in; `source` is its text."""

    def __init__(self, source: str, render: Render) -> None:
        self._render = render
        self._knows_developer = "developer" in source
        self.writes_tool_calls = OPEN_TAG in source  # the model was taught the Hermes form of calls

    def prompt(self, messages: Sequence[Message], tools: Sequence[Tool], add_generation_prompt: bool) -> str:
        """The prompt's text. Raises RequestError when the template refuses the conversation."""
        turns = [_turn(message, place) for place, message in enumerate(messages)]
        if not self._knows_developer:  # many templates drop roles they do not know without a word
            turns = [turn | {"role": "system"} if turn["role"] == "developer" else turn for turn in turns]
        offered = [_tool(tool) for tool in tools] or None
        try:
            return self._render(turns, offered, add_generation_prompt)
        except _TEMPLATE_FAILURES as error:
            message = f"The model's chat template cannot render these messages: {error}"
            raise RequestError(ErrorCode.INVALID_REQUEST, message, "messages") from error


def _turn(message: Message, place: int) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": _content(message, place)}
    if message.name is not None:
        turn["name"] = message.name
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    if message.reasoning_content is not None:
        turn["reasoning_content"] = message.reasoning_content
    if message.tool_calls:
        turn["tool_calls"] = [
            _call(call, f"messages[{place}].tool_calls[{number}]") for number, call in enumerate(message.tool_calls)
        ]
    return turn


def _content(message: Message, place: int) -> str:
    if message.content is None:
        if message.role != "assistant":
            param = f"messages[{place}].content"
            raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}'.", param)
        return ""
    if isinstance(message.content, str):
        return message.content
    texts: list[str] = []
    for number, part in enumerate(message.content):
        param = f"messages[{place}].content[{number}]"
        if part.type != "text":
            refusal = f"Content parts of type '{part.type[:64]}' are not supported yet; only 'text' is."
            raise RequestError(ErrorCode.INVALID_REQUEST, refusal, f"{param}.type")
        if part.text is None:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}.text'.", f"{param}.text")
        texts.append(part.text)
    return "\n".join(texts)


def _call(call: MessageToolCall, path: str) -> dict[str, Any]:
    arguments = call.function.arguments
    if isinstance(arguments, str) or arguments is None:
        param = f"{path}.function.arguments"
        try:
            arguments = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' is not valid JSON.", param) from None
        if not isinstance(arguments, dict):
            raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' must be a JSON object.", param)
    turn: dict[str, Any] = {"type": call.type, "function": {"name": call.function.name, "arguments": arguments}}
    return turn if call.id is None else {"id": call.id} | turn


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description is not None:
        function["description"] = tool.function.description
    if tool.function.parameters is not None:
        function["parameters"] = tool.function.parameters
    if tool.function.strict is not None:
        function["strict"] = tool.function.strict
    return {"type": tool.type, "function": function}
