"""The body of POST /v1/responses. Items of `input` are checked one by one in `input_items.py`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from frontend.deadline import Timeout
from frontend.schema_chat import ReasoningEffort
from frontend.schema_fields import (
    CacheSalt,
    LogitBias,
    MaxTokens,
    MinP,
    Penalty,
    Priority,
    RepetitionPenalty,
    Seed,
    Stop,
    StopTokenIds,
    Temperature,
    TopK,
    TopP,
    User,
)
from frontend.schema_structured import StructuredOutputs

ResponseId = Annotated[str, Meta(min_length=1, max_length=128)]
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
Name = Annotated[str, Meta(min_length=1, max_length=256)]


class ResponsesTool(Struct, frozen=True):
    """A tool on offer. Only functions can be called here; tools that OpenAI runs itself are refused by name."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class AllowedTool(Struct, frozen=True):
    """One of the tools that may be called."""

    name: Name
    type: Literal["function"] = "function"


class ToolChoiceObject(Struct, frozen=True):
    """`function` with its name, or `allowed_tools` with some of them."""

    type: str
    name: Name | None = None
    mode: Literal["auto", "required"] | None = None
    tools: Annotated[list[AllowedTool], Meta(min_length=1, max_length=1024)] | None = None


class TextFormat(Struct, frozen=True):
    """The form the answer's text must have."""

    type: Literal["text", "json_object", "json_schema"]
    name: Name | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextConfig(Struct, frozen=True):
    """`verbosity` is taken and has no effect: open models know no such thing."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningConfig(Struct, frozen=True):
    """`summary` is taken and has no effect: the thinking itself is sent, not a summary."""

    effort: ReasoningEffort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


class ResponsesRequest(Struct, frozen=True, kw_only=True):
    """None everywhere means: not said."""

    input: str | Annotated[list[dict[str, Any]], Meta(max_length=10_000)]
    model: str | None = None
    instructions: str | None = None
    previous_response_id: ResponseId | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    max_output_tokens: MaxTokens | None = None
    max_tool_calls: Annotated[int, Meta(ge=0)] | None = None  # counts tools the server runs: there are none
    temperature: Temperature | None = None
    top_p: TopP | None = None
    tools: Annotated[list[ResponsesTool], Meta(max_length=1024)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoiceObject | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    include: Annotated[list[Includable], Meta(max_length=16)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: Metadata | None = None
    user: User | None = None
    safety_identifier: User | None = None
    prompt_cache_key: User | None = None
    service_tier: Annotated[str, Meta(max_length=64)] | None = None
    # vLLM's
    top_k: TopK | None = None
    min_p: MinP | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    stop_token_ids: StopTokenIds | None = None
    ignore_eos: bool | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: RepetitionPenalty | None = None
    logit_bias: LogitBias | None = None
    structured_outputs: StructuredOutputs | None = None
    cache_salt: CacheSalt | None = None
    priority: Priority | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    timeout: Timeout | None = None
