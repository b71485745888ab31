"""Which texts of a score request are compared with which, and as which tokens a cross-encoder reads them. Pure
functions; the tokenizing ones may run in a thread.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from frontend.encode_prefix import Side, cut_ids, part_chars
from frontend.request_rules import token_column
from frontend.text_model import TextModel
from frontend.tokenize import PairTokens, split_budget
from ipc.errors import ErrorCode, RequestError

MAX_TOKENS = 8 << 20  # of one request, over all its pairs
MAX_KEPT_TEXTS = 16  # whose tokens are remembered, for texts that are in many pairs

TRUNCATE = "truncate_prompt_tokens"

TextPair = tuple[str, str]


class PairLimits(NamedTuple):
    """How long a pair may be and what happens to a longer one."""

    truncate: int | None = None  # tokens of the pair, special ones included; -1: what the model takes; None: refuse
    side: Side = "right"  # where the texts of a longer one are cut
    max_query_tokens: int = 0  # of the first text, cut on the right; 0: no such bound
    max_doc_tokens: int = 0  # likewise of the second


class PackedPairs(NamedTuple):
    """Tokenized pairs as int32 columns: the length of each, all ids one after the other, as many type ids or none."""

    lengths: bytes
    token_ids: bytes
    type_ids: bytes

    @property
    def num_pairs(self) -> int:
        return len(self.lengths) // 4

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids) // 4


def make_pairs(first: Sequence[str], second: Sequence[str], params: tuple[str, str]) -> list[TextPair]:
    """One with one, one with each, or by index. Raises RequestError for lengths that do not fit."""
    if len(first) == 1:
        first = [first[0]] * len(second)
    if len(first) != len(second):
        raise RequestError(ErrorCode.INVALID_REQUEST, "Input lengths must be either 1:1, 1:N or N:N.", params[0])
    return list(zip(first, second, strict=True))


def pack_pairs(texts: Sequence[TextPair], model: TextModel, limits: PairLimits, params: tuple[str, str]) -> PackedPairs:
    """Tokenizes all pairs, and cuts those that are too long if they may be cut. Raises RequestError naming one of
    `params`: CONTEXT_LENGTH_EXCEEDED for a pair that does not fit."""
    reader = _PairReader(model, limits, params)
    is_short = [reader.is_short(pair) for pair in texts]
    # long ones first: one that cannot be taken ends the request before the others cost anything
    long_pairs = {index: reader.cut_pair(index, texts[index]) for index, short in enumerate(is_short) if not short}
    short_texts = [pair for pair, short in zip(texts, is_short, strict=True) if short]
    encoded = iter(model.tokenizer.encode_pairs(short_texts))
    pairs: list[PairTokens] = []
    num_tokens = 0
    for index, text in enumerate(texts):
        pair = long_pairs.get(index) or next(encoded)
        if len(pair.ids) > reader.limit:
            pair = reader.cut_pair(index, text)
        pairs.append(pair)
        num_tokens += len(pair.ids)
    if num_tokens > MAX_TOKENS:
        message = f"A request may hold at most {MAX_TOKENS} tokens; this one has {num_tokens}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, params[1])
    return PackedPairs(
        token_column([len(pair.ids) for pair in pairs]),
        b"".join(token_column(pair.ids) for pair in pairs),
        b"".join(token_column(pair.type_ids) for pair in pairs),
    )


class _PairReader:
    """Tokenizes pairs of one request one by one, no further than they can count. `limit`: tokens a pair may have."""

    def __init__(self, model: TextModel, limits: PairLimits, params: tuple[str, str]) -> None:
        """Raises RequestError for limits that cannot be."""
        if limits.truncate == 0:
            message = f"'{TRUNCATE}' must not be 0."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, TRUNCATE)
        self._tokenizer = model.tokenizer
        self._room = model.card.max_model_len
        self._limits = limits
        self._params = params
        self._may_cut = limits.truncate is not None
        self.limit = self._room if limits.truncate in (None, -1) else min(limits.truncate or 0, self._room)
        self._budget = max(0, self.limit - self._tokenizer.num_pair_special)
        self._short_chars = 2 * part_chars(self.limit)
        # a text gets at most the whole budget, so that a wider bound of its own changes nothing
        cuts_right = self._may_cut and limits.side == "right"
        own_limits = (limits.max_query_tokens, limits.max_doc_tokens)
        self._own_limits = tuple(0 if cuts_right and most >= self._budget else most for most in own_limits)
        self._first = lru_cache(MAX_KEPT_TEXTS)(lambda text: self._ids(text, self._own_limits[0]))
        self._second = lru_cache(MAX_KEPT_TEXTS)(lambda text: self._ids(text, self._own_limits[1]))

    def is_short(self, pair: TextPair) -> bool:
        """It may be tokenized whole."""
        return not any(self._own_limits) and len(pair[0]) + len(pair[1]) <= self._short_chars

    def cut_pair(self, index: int, pair: TextPair) -> PairTokens:
        """Cut to what it may have. Raises RequestError for what may not be cut and is too long."""
        first, second = self._first(pair[0]), self._second(pair[1])
        if self._may_cut:
            num_first, num_second = split_budget(len(first), len(second), self._budget)
            first = cut_ids(first, num_first, self._limits.side)
            second = cut_ids(second, num_second, self._limits.side)
        joined = self._tokenizer.join_pair(first, second)
        if len(joined.ids) <= self.limit:
            return joined
        if self._may_cut:
            message = f"{self.limit} tokens have no room for the special tokens of a pair."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, TRUNCATE)
        message = (
            f"This model's maximum context length is {self._room} tokens. However, pair {index} has at least "
            f"{len(joined.ids)} tokens. Please shorten its texts, or set {TRUNCATE}."
        )
        raise RequestError(ErrorCode.CONTEXT_LENGTH_EXCEEDED, message, f"{self._params[1]}[{index}]")

    def _ids(self, text: str, own_limit: int) -> list[int]:
        """A text's own tokens: those that can count, and where nothing may be cut one too many at most."""
        if not self._may_cut:
            most = self._budget + 1
            return self._tokenizer.encode_prefix(text, min(most, own_limit) if own_limit else most)
        if not own_limit:
            return self._tokenizer.encode_prefix(text, self._budget, self._limits.side)
        most = min(self._budget, own_limit) if self._limits.side == "right" else own_limit
        return self._tokenizer.encode_prefix(text, most)
