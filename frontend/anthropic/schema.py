"""The bodies of POST /v1/messages and POST /v1/messages/count_tokens."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from frontend.deadline import Timeout
from frontend.schema_fields import MaxTokens, StopString, Temperature, TopK, TopP, User

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Identifier = Annotated[str, Meta(min_length=1, max_length=256)]


class TextBlock(Struct, frozen=True):
    """A text, in `system` and in results of tools. Blocks of other types are refused by name."""

    type: str
    text: str | None = None


class Block(Struct, frozen=True):
    """One block of a message; `type` says which of the fields it has."""

    type: str
    text: str | None = None  # text
    thinking: str | None = None  # thinking
    id: Identifier | None = None  # tool_use
    name: Name | None = None
    input: dict[str, Any] | None = None
    tool_use_id: Identifier | None = None  # tool_result
    content: str | list[TextBlock] | None = None
    is_error: bool | None = None


class InputMessage(Struct, frozen=True):
    """One turn of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class MessagesTool(Struct, frozen=True):
    """A tool on offer. Those that Anthropic's API brings with it are refused by name."""

    name: Name
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    type: str | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True):
    """`tool` calls the tool `name`, `any` calls one or more."""

    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True):
    """`budget_tokens` has no effect: open models do not know how long they think."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Meta(ge=0)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class RequestMetadata(Struct, frozen=True):
    """`user_id` is whose request it is, among all that come with one API key."""

    user_id: User | None = None


class OutputFormat(Struct, frozen=True):
    """The form the answer's text must have."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, frozen=True):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class PromptFields(Struct, frozen=True, kw_only=True):
    """What makes the prompt. None everywhere means: not said."""

    messages: Annotated[list[InputMessage], Meta(min_length=1, max_length=100_000)]
    model: str | None = None
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[MessagesTool], Meta(max_length=1024)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None  # its older place
    timeout: Timeout | None = None


class CountTokensRequest(PromptFields, frozen=True, kw_only=True):
    """How long is this conversation?"""


class MessagesRequest(PromptFields, frozen=True, kw_only=True):
    """A conversation to go on with."""

    max_tokens: MaxTokens
    stop_sequences: Annotated[list[StopString], Meta(max_length=16)] | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_k: TopK | None = None
    top_p: TopP | None = None
    metadata: RequestMetadata | None = None
