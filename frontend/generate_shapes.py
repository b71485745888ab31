"""The shapes of completions and chat replies, for the API's description. The replies are written by hand in
`routes_completions.py` and `chat_reply.py`; a test compares."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

StopReason = str | int | None


class CachedTokens(Struct, frozen=True):
    """Of a prompt's tokens those that were computed before."""

    cached_tokens: int


class ReasoningTokens(Struct, frozen=True):
    """Of an answer's tokens those of its thinking."""

    reasoning_tokens: int


class CompletionUsage(Struct, frozen=True):
    """Tokens over all choices; a prompt counts once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class ChatUsage(CompletionUsage, frozen=True):
    """As above, with the thinking."""

    completion_tokens_details: ReasoningTokens


class PromptToken(Struct, frozen=True):
    """What a prompt's token, or a likeliest one in its place, would have been."""

    logprob: float | None
    rank: int
    decoded_token: str


PromptTokens = list[dict[str, PromptToken] | None]


class CompletionLogprobs(Struct, frozen=True):
    """One entry a token in each list."""

    text_offset: list[int]
    token_logprobs: list[float | None]
    tokens: list[str]
    top_logprobs: list[dict[str, float | None] | None]


class CompletionReplyChoice(Struct, frozen=True, kw_only=True):
    """One completion."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length", "abort"]
    stop_reason: StopReason
    prompt_token_ids: list[int] | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET
    prompt_logprobs: PromptTokens | UnsetType = UNSET


class CompletionReply(Struct, frozen=True):
    """POST /v1/completions."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionReplyChoice]
    usage: CompletionUsage


class LikelyToken(Struct, frozen=True):
    """A token and its log-probability."""

    token: str
    logprob: float | None
    bytes: list[int]


class ChatToken(LikelyToken, frozen=True):
    """One token of the answer."""

    top_logprobs: list[LikelyToken]


class ChatLogprobs(Struct, frozen=True):
    """One entry a token."""

    content: list[ChatToken]
    refusal: None


class CalledFunction(Struct, frozen=True):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class ToolCallReply(Struct, frozen=True):
    """One tool call."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class MessageReply(Struct, frozen=True, kw_only=True):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    annotations: list[str]
    reasoning: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: list[ToolCallReply] | UnsetType = UNSET


class ChatReplyChoice(Struct, frozen=True, kw_only=True):
    """One answer."""

    index: int
    message: MessageReply
    logprobs: ChatLogprobs | None
    finish_reason: Literal["stop", "length", "tool_calls", "abort"]
    stop_reason: StopReason
    token_ids: list[int] | UnsetType = UNSET


class ChatCompletionReply(Struct, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatReplyChoice]
    usage: ChatUsage
    prompt_logprobs: PromptTokens | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET
