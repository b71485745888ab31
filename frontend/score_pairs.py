"""Which texts of a score request are compared with which, and whether they fit the model. Pure functions."""

from collections.abc import Sequence
from typing import NamedTuple

from frontend.request_rules import token_column
from frontend.text_model import TextModel
from frontend.tokenize import PairTokens
from ipc.errors import ErrorCode, RequestError

MAX_PAIRS = 10_000  # of one request


class PackedPairs(NamedTuple):
    """Tokenized pairs as int32 columns: the length of each, all ids one after the other, as many type ids or none."""

    lengths: bytes
    token_ids: bytes
    type_ids: bytes

    @property
    def num_pairs(self) -> int:
        return len(self.lengths) // 4


def make_pairs(text_1: str | list[str], text_2: str | list[str]) -> list[tuple[str, str]]:
    """One with one, one with each, or by index. Raises RequestError for lengths that do not fit, or too many pairs."""
    first = [text_1] if isinstance(text_1, str) else text_1
    second = [text_2] if isinstance(text_2, str) else text_2
    if len(second) > MAX_PAIRS or len(first) > MAX_PAIRS:
        message = f"A request may hold at most {MAX_PAIRS} pairs; this one has {max(len(first), len(second))}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "text_2")
    if len(first) == 1:
        first = first * len(second)
    if len(first) != len(second):
        raise RequestError(ErrorCode.INVALID_REQUEST, "Input lengths must be either 1:1, 1:N or N:N.", "text_1")
    return list(zip(first, second, strict=True))


def pack_pairs(texts: Sequence[tuple[str, str]], model: TextModel, truncate: int | None) -> PackedPairs:
    """Tokenizes and checks all pairs. May run in a thread. Raises RequestError as `check_lengths`."""
    pairs = check_lengths(model.tokenizer.encode_pairs(texts), texts, model, truncate)
    return PackedPairs(
        token_column([len(pair.ids) for pair in pairs]),
        b"".join(token_column(pair.ids) for pair in pairs),
        b"".join(token_column(pair.type_ids) for pair in pairs),
    )


def check_lengths(
    pairs: list[PairTokens], texts: Sequence[tuple[str, str]], model: TextModel, truncate: int | None
) -> list[PairTokens]:
    """The pairs as they may be sent: too long ones are refused, or with `truncate` (tokens; -1: what the model takes)
    cut.

    Raises RequestError CONTEXT_LENGTH_EXCEEDED naming the first pair that does not fit.
    """
    room = model.card.max_model_len
    limit = room if truncate is None or truncate == -1 else min(truncate, room)
    if truncate == 0:
        raise RequestError(
            ErrorCode.INVALID_REQUEST, "'truncate_prompt_tokens' must not be 0.", "truncate_prompt_tokens"
        )
    for index, pair in enumerate(pairs):
        if len(pair.ids) <= limit:
            continue
        if truncate is None:
            message = (
                f"This model's maximum context length is {room} tokens. However, pair {index} has {len(pair.ids)} "
                "tokens. Please shorten its texts, or set truncate_prompt_tokens."
            )
            raise RequestError(ErrorCode.CONTEXT_LENGTH_EXCEEDED, message, f"text_2[{index}]")
        pairs[index] = model.tokenizer.encode_pair_truncated(texts[index], limit)
    return pairs
