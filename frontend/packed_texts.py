"""Single texts and token lists as an embed or classify model reads them: prompts, limits, packed columns. Pure
functions; they may run in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from frontend.encode_prefix import Side, cut_ids
from frontend.request_rules import check_token_id, token_column
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError

MAX_TEXTS = 2048  # of one request: OpenAI's bound
MAX_TOKENS = 8 << 20  # of one request, over all its texts
Text = str | Sequence[int]


@dataclass(frozen=True)
class TextLimits:
    """How long a text may be and what happens to a longer one."""

    truncate: int | None = None  # tokens, special ones included; -1: what the model takes; None: refuse longer ones
    side: Side = "right"  # where a longer one is cut
    add_special_tokens: bool = True  # texts only: token lists are taken as they are
    max_own_tokens: int = 0  # of the text itself, cut on the right without a word; 0: no such bound


class PackedTexts(NamedTuple):
    """Tokenized texts as int32 columns: the length of each, all ids one after the other."""

    lengths: bytes
    token_ids: bytes

    @property
    def num_texts(self) -> int:
        return len(self.lengths) // 4

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids) // 4


def pack(sequences: Sequence[Sequence[int]], param: str) -> PackedTexts:
    """The columns of tokenized texts. Raises RequestError when they are too many tokens for one request."""
    packed = PackedTexts(
        token_column([len(ids) for ids in sequences]), b"".join(token_column(ids) for ids in sequences)
    )
    if packed.num_tokens > MAX_TOKENS:
        message = f"A request may hold at most {MAX_TOKENS} tokens; this one has {packed.num_tokens}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
    return packed


def tokens_of(text: Text, model: TextModel, limits: TextLimits, param: str) -> list[int]:
    """One text's ids, cut if `limits` say so. Raises RequestError naming `param`: CONTEXT_LENGTH_EXCEEDED for a text
    that is too long, INVALID_REQUEST for an empty one or ids outside the vocabulary.
    """
    limit = token_limit(limits.truncate, model.card.max_model_len)
    if isinstance(text, str):
        return checked(_encoded(text, model, limits, limit), model, limits, param)
    check_ids(text, model, param)
    return checked(text, model, limits, param)


def checked(ids: Sequence[int], model: TextModel, limits: TextLimits, param: str) -> list[int]:
    """The ids, cut if `limits` say so. Raises RequestError as `tokens_of`."""
    limit = token_limit(limits.truncate, model.card.max_model_len)
    if not ids:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' is empty: there is nothing to embed.", param)
    if len(ids) > limit and limits.truncate is None:
        message = (
            f"This model's maximum context length is {limit} tokens. However, your input has at least {len(ids)} "
            "tokens. Please shorten it, or set truncate_prompt_tokens."
        )
        raise RequestError(ErrorCode.CONTEXT_LENGTH_EXCEEDED, message, param)
    return cut_ids(ids, limit, limits.side)


def token_limit(truncate: int | None, max_model_len: int) -> int:
    """The most tokens a text may have after cutting."""
    return max_model_len if truncate is None or truncate == -1 else min(truncate, max_model_len)


def check_ids(ids: Sequence[int], model: TextModel, param: str) -> None:
    """Raises RequestError for ids outside the vocabulary."""
    if ids:
        array = np.asarray(ids)
        check_token_id(int(array.min()), model.card, param)
        check_token_id(int(array.max()), model.card, param)


def _encoded(text: str, model: TextModel, limits: TextLimits, limit: int) -> list[int]:
    """No more of the text than counts: of one that is too long and may not be cut, one token too many."""
    embedding = model.card.embedding
    if embedding is not None and embedding.lowercase:
        text = text.lower()
    encode = model.tokenizer.encode_prefix
    side: Side = "right" if limits.truncate is None else limits.side
    most = limit + 1 if limits.truncate is None else limit
    adds = limits.add_special_tokens
    if not limits.max_own_tokens:
        return encode(text, most, side, adds)
    num_special = len(model.tokenizer.encode("", adds))
    whole = encode(text, limits.max_own_tokens + num_special, "right", adds)
    if len(whole) <= most or side == "right":
        return encode(text, most, "right", adds) if len(whole) > most else whole
    own = encode(text, limits.max_own_tokens, "right", False)
    before, room = _place_of(own, whole), max(0, most - num_special)
    return whole[:before] + own[len(own) - room :] + whole[before + len(own) :]


def _place_of(part: list[int], whole: list[int]) -> int:
    """Where `part` begins in `whole`."""
    places = range(len(whole) - len(part) + 1)
    return next((place for place in places if whole[place : place + len(part)] == part), 0)
