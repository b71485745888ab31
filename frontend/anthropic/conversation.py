"""Anthropic's messages, which hold blocks, to the messages of a chat. Results of tools are messages of their own there,
thinking and calls are fields of the assistant's message."""

from collections.abc import Sequence
from typing import NoReturn, TypeVar

import orjson

from frontend.anthropic.schema import Block, InputMessage, TextBlock
from frontend.schema_chat import FunctionCall, Message, MessageToolCall
from ipc.errors import ErrorCode, RequestError

MAX_SHOWN = 64  # characters of a type's name in a message
T = TypeVar("T")


def chat_messages(system: str | list[TextBlock] | None, messages: Sequence[InputMessage]) -> list[Message]:
    """Raises RequestError naming the block at fault."""
    chat: list[Message] = []
    if system:
        chat.append(Message(role="system", content=_joined(system, "system")))
    for place, message in enumerate(messages):
        where = f"messages[{place}].content"
        if isinstance(message.content, str):
            chat.append(Message(role=message.role, content=message.content))
        elif message.role == "assistant":
            chat.append(_assistant(message.content, where))
        else:
            chat += _others(message.role, message.content, where)
    return chat


def _assistant(blocks: list[Block], where: str) -> Message:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[MessageToolCall] = []
    for number, block in enumerate(blocks):
        place = f"{where}[{number}]"
        match block.type:
            case "text":
                texts.append(_needed(block.text, f"{place}.text"))
            case "thinking":
                thoughts.append(_needed(block.thinking, f"{place}.thinking"))
            case "redacted_thinking":  # nobody here can read it
                pass
            case "tool_use":
                calls.append(_call(block, place))
            case kind:
                _refuse_type(kind, place, "text, thinking and tool_use")
    content = "".join(texts) if texts else None if calls else ""
    return Message(
        role="assistant", content=content, tool_calls=calls or None, reasoning_content="\n".join(thoughts) or None
    )


def _others(role: str, blocks: list[Block], where: str) -> list[Message]:
    """Neighbouring texts are one message."""
    messages: list[Message] = []
    texts: list[str] = []

    def end_text() -> None:
        if texts:
            messages.append(Message(role="system" if role == "system" else "user", content="\n".join(texts)))
            texts.clear()

    for number, block in enumerate(blocks):
        place = f"{where}[{number}]"
        match block.type:
            case "text":
                texts.append(_needed(block.text, f"{place}.text"))
            case "tool_result":
                end_text()
                messages.append(_tool_result(block, place))
            case kind:
                _refuse_type(kind, place, "text and tool_result")
    end_text()
    return messages


def _call(block: Block, place: str) -> MessageToolCall:
    name = _needed(block.name, f"{place}.name")
    try:
        arguments = orjson.dumps(block.input or {}).decode()
    except TypeError as error:  # a lone surrogate, an integer beyond 64 bits
        message = f"Invalid value for '{place}.input': {error}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, f"{place}.input") from None
    return MessageToolCall(FunctionCall(name, arguments), _needed(block.id, f"{place}.id"))


def _tool_result(block: Block, place: str) -> Message:
    text = _joined(block.content or "", f"{place}.content")
    content = f"Error: {text}" if block.is_error else text
    return Message(role="tool", content=content, tool_call_id=_needed(block.tool_use_id, f"{place}.tool_use_id"))


def _joined(content: str | list[TextBlock], where: str) -> str:
    if isinstance(content, str):
        return content
    for number, block in enumerate(content):
        if block.type != "text":
            _refuse_type(block.type, f"{where}[{number}]", "text")
    return "\n".join(_needed(block.text, f"{where}[{number}].text") for number, block in enumerate(content))


def _needed(value: T | None, param: str) -> T:
    if value is None:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}'.", param)
    return value


def _refuse_type(kind: str, where: str, known: str) -> NoReturn:
    message = f"'{where}': blocks of type '{kind[:MAX_SHOWN]}' are not supported here; {known} are."
    raise RequestError(ErrorCode.INVALID_REQUEST, message, f"{where}.type")
