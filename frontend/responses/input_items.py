"""The items of a request's `input`, checked and completed: this is how they are stored, listed and told to the model.

message                an input of the user (input_text parts) or an earlier answer (output_text parts)
function_call          a call the model made earlier
function_call_output   what the client's function answered
reasoning              what the model thought earlier
"""

from typing import Annotated, Any, Literal, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct

from frontend.request_body import invalid_field
from ipc.errors import ErrorCode, RequestError

Item = dict[str, Any]  # plain, as JSON has it
Identifier = Annotated[str, Meta(min_length=1, max_length=256)]
TEXT_PARTS = ("input_text", "output_text", "text")
MAX_SHOWN = 64  # characters of a type's name in a message
T = TypeVar("T")


class Part(Struct, frozen=True):
    """One part of a content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class MessageItem(Struct, frozen=True):
    """Its `type` may be missing."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Part]
    id: Identifier | None = None


class CallItem(Struct, frozen=True):
    call_id: Identifier
    name: Identifier
    arguments: str
    id: Identifier | None = None
    status: str | None = None


class CallOutputItem(Struct, frozen=True):
    call_id: Identifier
    output: str | list[Part]
    id: Identifier | None = None


class ReasoningText(Struct, frozen=True):
    text: str


class ReasoningItem(Struct, frozen=True):
    """`encrypted_content` is OpenAI's own and is not understood."""

    summary: list[ReasoningText] = []
    content: list[ReasoningText] | None = None
    id: Identifier | None = None


def new_id(prefix: str) -> str:
    """The id of a new response or item."""
    return f"{prefix}_{uuid4().hex}"


def input_items(given: str | list[dict[str, Any]]) -> list[Item]:
    """Raises RequestError naming the item and field at fault."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_item(item, f"input[{place}]") for place, item in enumerate(given)]


def _item(item: dict[str, Any], where: str) -> Item:
    kind = item.get("type", "message")
    match kind:
        case "message":
            return _message(_typed(item, MessageItem, where), where)
        case "function_call":
            return _call(_typed(item, CallItem, where))
        case "function_call_output":
            return _call_output(_typed(item, CallOutputItem, where), where)
        case "reasoning":
            return _reasoning(_typed(item, ReasoningItem, where))
    known = "message, function_call, function_call_output and reasoning are"
    message = f"Items of type '{str(kind)[:MAX_SHOWN]}' are not supported; {known}."
    raise RequestError(ErrorCode.INVALID_REQUEST, message, f"{where}.type")


def _message(message: MessageItem, where: str) -> Item:
    is_answer = message.role == "assistant"
    texts = _texts(message.content, f"{where}.content")
    return {
        "id": message.id or new_id("msg"),
        "type": "message",
        "status": "completed",
        "role": message.role,
        "content": [_output_text(text) if is_answer else {"type": "input_text", "text": text} for text in texts],
    }


def _call(call: CallItem) -> Item:
    return {
        "id": call.id or new_id("fc"),
        "type": "function_call",
        "status": "incomplete" if call.status == "incomplete" else "completed",
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
    }


def _call_output(output: CallOutputItem, where: str) -> Item:
    return {
        "id": output.id or new_id("fco"),
        "type": "function_call_output",
        "status": "completed",
        "call_id": output.call_id,
        "output": "\n".join(_texts(output.output, f"{where}.output")),
    }


def _reasoning(item: ReasoningItem) -> Item:
    return {
        "id": item.id or new_id("rs"),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": part.text} for part in item.summary],
        "content": [{"type": "reasoning_text", "text": part.text} for part in item.content or []],
    }


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _texts(content: str | list[Part], where: str) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [_part_text(part, f"{where}[{place}]") for place, part in enumerate(content)]


def _part_text(part: Part, where: str) -> str:
    if part.type == "refusal":
        text, field = part.refusal, "refusal"
    elif part.type in TEXT_PARTS:
        text, field = part.text, "text"
    else:
        message = f"Content parts of type '{part.type[:MAX_SHOWN]}' are not supported; only texts are."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, f"{where}.type")
    if text is None:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{where}.{field}'.", f"{where}.{field}")
    return text


def _typed(item: Item, schema: type[T], where: str) -> T:
    try:
        return msgspec.convert(item, schema)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error), where) from None
