"""The body of POST /v1/completions."""

from frontend.schema_fields import GenerateFields, TokenId


class CompletionRequest(GenerateFields, frozen=True, kw_only=True):
    """`prompt`: one text, several texts, one list of token ids, or several such lists."""

    prompt: str | list[str | TokenId | list[TokenId]]
    add_special_tokens: bool | None = None
