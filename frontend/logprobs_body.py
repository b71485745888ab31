"""Log-probabilities as OpenAI's two APIs and vLLM's `prompt_logprobs` write them."""

from collections.abc import Sequence
from typing import Any

from frontend.output_tokens import OutputToken
from frontend.tokenize import Tokenizer

LOWEST = -9999.0  # JSON has no infinity


class TokenNames:
    """How the tokens of one request are spelled. `as_ids`: "token_id:7" in the place of text."""

    def __init__(self, tokenizer: Tokenizer, as_ids: bool) -> None:
        self._tokenizer = tokenizer
        self._as_ids = as_ids

    def text(self, token_id: int) -> str:
        """For reading: bytes that are no text become U+FFFD."""
        return f"token_id:{token_id}" if self._as_ids else self.bytes_of(token_id).decode("utf-8", "replace")

    def key(self, token_id: int) -> str:
        """Different for tokens of different bytes: those that are no text are spelled as OpenAI spells them."""
        if self._as_ids:
            return f"token_id:{token_id}"
        own = self.bytes_of(token_id)
        try:
            return own.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in own)

    def bytes_of(self, token_id: int) -> bytes:
        return self._tokenizer.token_bytes(token_id)


def chat_logprobs(tokens: Sequence[OutputToken], names: TokenNames, num_top: int) -> dict[str, Any]:
    """`logprobs` of a chat choice, or of a delta of one."""
    return {"content": [_chat_token(token, names, num_top) for token in tokens], "refusal": None}


def completion_logprobs(
    tokens: Sequence[OutputToken], names: TokenNames, num_top: int, num_chars: int = 0
) -> dict[str, Any]:
    """`logprobs` of a completions choice, or of a part of one. The drawn token is always among the likeliest, as
    OpenAI's API has it; `num_chars`: characters of the choice's text before that of `tokens` begins."""
    return {
        "text_offset": [num_chars + token.offset for token in tokens],
        "token_logprobs": [_floored(token.logprob) for token in tokens],
        "tokens": [names.key(token.token_id) for token in tokens],
        "top_logprobs": [_completion_top(token, names, num_top) for token in tokens],
    }


def prompt_logprobs(tokens: Sequence[OutputToken], names: TokenNames, num_top: int) -> list[dict[str, Any] | None]:
    """vLLM's `prompt_logprobs`: for each prompt token its own and the likeliest ones by id, null for the first."""
    return [None if token.logprob is None else _prompt_token(token, names, num_top) for token in tokens]


def _floored(logprob: float | None) -> float | None:
    return None if logprob is None else max(logprob, LOWEST)


def _chat_token(token: OutputToken, names: TokenNames, num_top: int) -> dict[str, Any]:
    entry = _chat_entry(token.token_id, token.logprob, names)
    entry["top_logprobs"] = [_chat_entry(token_id, logprob, names) for token_id, logprob in token.top[:num_top]]
    return entry


def _chat_entry(token_id: int, logprob: float | None, names: TokenNames) -> dict[str, Any]:
    return {
        "token": names.text(token_id),
        "logprob": _floored(logprob),
        "bytes": list(names.bytes_of(token_id)),
    }


def _completion_top(token: OutputToken, names: TokenNames, num_top: int) -> dict[str, float | None] | None:
    if token.logprob is None:
        return None
    likeliest: dict[str, float | None] = {}
    for token_id, logprob in [*token.top[:num_top], (token.token_id, token.logprob)]:
        likeliest.setdefault(names.key(token_id), _floored(logprob))  # two of one spelling: the likelier one stays
    return likeliest


def _prompt_token(token: OutputToken, names: TokenNames, num_top: int) -> dict[str, Any]:
    ranked = [(token_id, logprob, rank) for rank, (token_id, logprob) in enumerate(token.top[:num_top], 1)]
    entries = {
        str(token_id): {"logprob": _floored(logprob), "rank": rank, "decoded_token": names.text(token_id)}
        for token_id, logprob, rank in ranked
    }
    own = {"logprob": _floored(token.logprob), "rank": token.rank, "decoded_token": names.text(token.token_id)}
    return {str(token.token_id): own} | {key: entry for key, entry in entries.items() if key != str(token.token_id)}
