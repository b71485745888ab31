"""The body of POST /v1/chat/completions."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from frontend.schema_fields import GenerateFields, MaxTokens, NumLogprobs

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

MAX_MESSAGES = 16_384  # some templates go through all messages for each of them


class ContentPart(Struct, frozen=True):
    """One part of a message: text in one of its spellings. `chat_messages.py` refuses the others by name."""

    type: str
    text: str | None = None
    refusal: str | None = None


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
    reasoning: str | None = None  # the newer name of the same
    refusal: str | None = None
    function_call: FunctionCall | None = None  # OpenAI's old form of one tool call


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

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    top_logprobs: NumLogprobs | None = None
    tools: Annotated[list[Tool], Meta(max_length=1024)] | None = None
    tool_choice: str | dict[str, Any] | None = None  # read by forced_calls.py
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    add_special_tokens: bool | None = None
    documents: list[dict[str, Any]] | None = None
    chat_template: str | None = None  # only with --trust-request-chat-template
    chat_template_kwargs: dict[str, Any] | None = None  # more variables for the template
    reasoning_effort: ReasoningEffort | None = None
    include_reasoning: bool | None = None  # false: the model's thinking is not sent
