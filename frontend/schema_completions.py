"""The body of POST /v1/completions."""

from typing import Annotated

from msgspec import Meta

from frontend.schema_fields import GenerateFields, NumLogprobs, TokenId


class CompletionRequest(GenerateFields, frozen=True, kw_only=True):
    """`prompt`: one text, several texts, one list of token ids, or several such lists."""

    prompt: str | list[str | TokenId | list[TokenId]]
    suffix: str | None = None  # what comes after the completion
    max_tokens: Annotated[int, Meta(ge=0, le=(1 << 31) - 1)] | None = None  # 0: only the prompt is scored
    logprobs: NumLogprobs | bool | None = None  # false is vLLM's older way to say: none
