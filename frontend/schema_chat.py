"""The body of POST /v1/chat/completions."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from frontend.schema_fields import GenerateFields, MaxTokens

Role = Literal["system", "developer", "user", "assistant", "tool"]


class ContentPart(Struct, frozen=True):
    """One part of a message. Only text parts are supported yet; `request_rules.py` refuses the others by name."""

    type: str
    text: str | None = None


class FunctionCall(Struct, frozen=True):
    """A call as the assistant made it earlier; `arguments` is JSON text."""

    name: str
    arguments: str | dict[str, Any] | None = None


class MessageToolCall(Struct, frozen=True):
    """A call inside an assistant message that the client sends back."""

    function: FunctionCall
    id: str | None = None
    type: Literal["function"] = "function"


class Message(Struct, frozen=True):
    """One turn of the conversation."""

    role: Role
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class ToolFunction(Struct, frozen=True):
    """What the model may call; `parameters` is a JSON schema."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True):
    """One tool on offer."""

    type: Literal["function"]
    function: ToolFunction


class ChatRequest(GenerateFields, frozen=True, kw_only=True):
    """A conversation to go on with."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: MaxTokens | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool | None = None
    add_special_tokens: bool | None = None
