"""The bodies of POST /tokenize and /detokenize."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from frontend.deadline import Timeout
from frontend.schema_chat import Message, Tool
from frontend.schema_fields import TokenId

MAX_CHARS = 4 << 20  # of a text; of a conversation's whole body
MAX_SPAN_CHARS = 1 << 18  # of all `inputs`: each of their tokens becomes an object
MAX_TOKENS = 1 << 20


class TokenizeRequest(Struct, frozen=True, kw_only=True):
    """Exactly one of `prompt`, `messages` (vLLM's forms) and `inputs` (text-embeddings-inference's)."""

    model: str | None = None
    prompt: Annotated[str, Meta(max_length=MAX_CHARS)] | None = None
    messages: Annotated[list[Message], Meta(min_length=1)] | None = None
    inputs: str | Annotated[list[str], Meta(min_length=1, max_length=1024)] | None = None
    add_special_tokens: bool | None = None  # true for texts, false for messages: the template writes them
    return_token_strs: bool | None = None  # not with `inputs`
    # with `messages` only, as in chat:
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    tools: Annotated[list[Tool], Meta(max_length=1024)] | None = None
    timeout: Timeout | None = None


class DetokenizeRequest(Struct, frozen=True, kw_only=True):
    """Tokens to be made a text."""

    tokens: Annotated[list[TokenId], Meta(max_length=MAX_TOKENS)]
    model: str | None = None
    timeout: Timeout | None = None
