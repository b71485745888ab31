"""Text to token ids, for one model: the interface the routes use, and its form for the tokenizers of a checkpoint.

Long work runs in a thread, so that the loop goes on streaming: the tokenizers library gives up the interpreter's lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from tokenizers import Tokenizer as BackendTokenizer

from frontend.detokenize import (
    NONE_SHOWN,
    ByteLevelDetokenizer,
    Detokenizer,
    ShownBytes,
    StreamDetokenizer,
    TokenBytes,
)
from frontend.encode_prefix import Side, content_ids, cut_ids
from frontend.safe_cuts import safe_cuts
from frontend.special_layout import SpecialLayout, pair_layout, single_layout
from ipc.errors import ErrorCode, RequestError

T = TypeVar("T")

NO_SPECIAL = SpecialLayout([], [], [], (0, 0, 0, 0, 0))
THREAD_CHARS = 16_384  # about 4 ms of tokenizing; more than that leaves the loop


class PairTokens(NamedTuple):
    """One pair of texts as the model reads it. `type_ids` is empty for models without segment embeddings."""

    ids: list[int]
    type_ids: list[int]


class TokenSpan(NamedTuple):
    """One token and where it stands, in characters of the text from `start` to before `stop`."""

    token_id: int
    spelling: str
    is_special: bool
    start: int
    stop: int


class Tokenizer(Protocol):
    """What the frontend needs of a tokenizer. All methods may be called from threads."""

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The texts of the model's special tokens, by id."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]: ...

    def encode_prefix(
        self, text: str, max_tokens: int, side: Side = "right", add_special_tokens: bool = False
    ) -> list[int]:
        """Exactly what `encode` gives, cut to at most `max_tokens` on the given side; special tokens are added inside
        the limit and stay. Of a long text only a part is tokenized, where that is known to make no difference."""

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        """Each pair joined with the model's own special tokens, never truncated."""

    def join_pair(self, first: Sequence[int], second: Sequence[int]) -> PairTokens:
        """Two texts' own ids as `encode_pairs` joins them. Raises RequestError where the tokenizer has a way of its
        own."""

    @property
    def num_pair_special(self) -> int:
        """Special tokens of a pair."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of tokens, special ones included."""

    def token_spelling(self, token_id: int) -> str:
        """A token as the vocabulary writes it; empty for ids without a token."""

    def encode_spans(self, text: str, add_special_tokens: bool) -> list[TokenSpan]:
        """Each token with its place in the text."""

    def detokenizer(self, shown: frozenset[str] | None = NONE_SHOWN, after: Sequence[int] = ()) -> Detokenizer:
        """A fresh one, for one stream. `shown`: the special tokens that are part of the text, None for all; `after`:
        the tokens that the text goes on after."""

    def token_bytes(self, token_id: int) -> bytes:
        """A token's own bytes, which need not be whole characters; a special token's are its spelling."""

    def token_id(self, token: str) -> int | None:
        """The id of a token of this spelling in the vocabulary."""


class CheckpointTokenizer:
    """A tokenizers-library tokenizer. `has_type_ids`: the model was trained with segment embeddings."""

    def __init__(self, backend: BackendTokenizer, has_type_ids: bool) -> None:
        backend.no_truncation()  # a checkpoint may carry both; lengths are checked, never cut in silence
        backend.no_padding()
        self._backend = backend
        self._has_type_ids = has_type_ids
        self._cuts = safe_cuts(backend)
        self._single, self._pair_layout = single_layout(backend), pair_layout(backend)
        self._token_bytes = TokenBytes(backend)
        self._shown_bytes: dict[frozenset[str] | None, ShownBytes] = {}  # few: what the models' own formats show
        added = sorted(backend.get_added_tokens_decoder().items())
        self.special_tokens = tuple(token.content for _, token in added if token.special)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=add_special_tokens).ids)

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        return [self._pair(encoding) for encoding in self._backend.encode_batch(list(pairs))]

    def encode_prefix(
        self, text: str, max_tokens: int, side: Side = "right", add_special_tokens: bool = False
    ) -> list[int]:
        layout = self._single if add_special_tokens else NO_SPECIAL
        if layout is None:
            return cut_ids(self.encode(text, add_special_tokens), max_tokens, side)
        own = content_ids(self._backend, self._cuts, text, max_tokens - layout.num_tokens, side)
        return layout.ids(own)[:max_tokens]

    def join_pair(self, first: Sequence[int], second: Sequence[int]) -> PairTokens:
        layout = self._pair_layout
        if layout is None:
            raise RequestError(
                ErrorCode.INVALID_REQUEST, "This model's tokenizer joins pairs in a way of its own.", "model"
            )
        return PairTokens(
            layout.ids(first, second), layout.type_ids(len(first), len(second)) if self._has_type_ids else []
        )

    @property
    def num_pair_special(self) -> int:
        return 0 if self._pair_layout is None else self._pair_layout.num_tokens

    def decode(self, token_ids: Sequence[int]) -> str:
        text: str = self._backend.decode(list(token_ids), skip_special_tokens=False)
        return text

    def token_spelling(self, token_id: int) -> str:
        return self._backend.id_to_token(token_id) or ""

    def encode_spans(self, text: str, add_special_tokens: bool) -> list[TokenSpan]:
        found = self._backend.encode(text, add_special_tokens=add_special_tokens)
        columns = zip(found.ids, found.tokens, found.special_tokens_mask, found.offsets, strict=True)
        return [TokenSpan(index, token, bool(special), *span) for index, token, special, span in columns]

    def detokenizer(self, shown: frozenset[str] | None = NONE_SHOWN, after: Sequence[int] = ()) -> Detokenizer:
        if self._token_bytes.is_byte_level:
            if shown not in self._shown_bytes:
                self._shown_bytes[shown] = ShownBytes(self._token_bytes, shown)
            return ByteLevelDetokenizer(self._shown_bytes[shown])
        special = self._token_bytes.special.items() if shown is None or shown else ()
        spelled = {index: text for index, text in special if shown is None or text in shown}
        return StreamDetokenizer(self._backend, spelled, after)

    def token_bytes(self, token_id: int) -> bytes:
        return self._token_bytes[token_id]

    def token_id(self, token: str) -> int | None:
        found: int | None = self._backend.token_to_id(token)
        return found

    def _pair(self, encoding: Any) -> PairTokens:
        return PairTokens(list(encoding.ids), list(encoding.type_ids) if self._has_type_ids else [])


def split_budget(num_first: int, num_second: int, budget: int) -> tuple[int, int]:
    """Tokens each text of a pair may keep: the longer one gives first, two too long ones get half each."""
    if num_first + num_second <= budget:
        return num_first, num_second
    half = budget // 2
    if num_first <= half:
        return num_first, budget - num_first
    if num_second <= half:
        return budget - num_second, num_second
    return half, budget - half


async def encode_text(
    tokenizer: Tokenizer, text: str, add_special_tokens: bool, max_tokens: int | None = None
) -> list[int]:
    """Token ids of one prompt. `max_tokens`: of a longer text only the first `max_tokens` + 1 ids are given back, so
    that it can be refused without tokenizing all of it."""
    if max_tokens is None:
        return await off_loop(len(text), lambda: tokenizer.encode(text, add_special_tokens))
    return await off_loop(
        len(text), lambda: tokenizer.encode_prefix(text, max_tokens + 1, add_special_tokens=add_special_tokens)
    )


async def off_loop(num_chars: int, work: Callable[[], T]) -> T:
    """`work()`, in a thread if it has to go through many characters."""
    return work() if num_chars <= THREAD_CHARS else await asyncio.to_thread(work)
