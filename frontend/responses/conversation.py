"""Items to the messages of a chat. What the model said in one turn (thinking, text, calls) is one message there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from frontend.responses.input_items import Item
from frontend.schema_chat import FunctionCall, Message, MessageToolCall


@dataclass
class _Turn:
    """What the model said, until somebody else speaks."""

    reasoning: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    calls: list[MessageToolCall] = field(default_factory=list)

    @property
    def has_answer(self) -> bool:
        return bool(self.texts or self.calls)

    def message(self) -> Message:
        return Message(
            role="assistant",
            content="\n".join(self.texts) if self.texts else None if self.calls else "",
            tool_calls=self.calls or None,
            reasoning_content="\n".join(self.reasoning) or None,
        )


def messages_of(items: Iterable[Item]) -> list[Message]:
    """`items` as `input_items` makes them, or as output items are stored."""
    messages: list[Message] = []
    turn: _Turn | None = None
    for item in items:
        if _is_of_model(item):
            if turn is not None and turn.has_answer and item["type"] == "reasoning":  # the next answer begins
                messages.append(turn.message())
                turn = None
            turn = turn or _Turn()
            _add(turn, item)
            continue
        if turn is not None:
            messages.append(turn.message())
            turn = None
        messages.append(_message(item))
    if turn is not None:
        messages.append(turn.message())
    return messages


def _is_of_model(item: Item) -> bool:
    return item["type"] in ("reasoning", "function_call") or item.get("role") == "assistant"


def _add(turn: _Turn, item: Item) -> None:
    match item["type"]:
        case "reasoning":
            turn.reasoning += [part["text"] for part in item.get("content") or item["summary"]]
        case "message":
            turn.texts += [part["text"] for part in item["content"]]
        case "function_call":
            function = FunctionCall(item["name"], item["arguments"])
            turn.calls.append(MessageToolCall(function, item["call_id"]))


def _message(item: Item) -> Message:
    if item["type"] == "function_call_output":
        return Message(role="tool", content=item["output"], tool_call_id=item["call_id"])
    return Message(role=item["role"], content="\n".join(part["text"] for part in item["content"]))
