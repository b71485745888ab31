"""Text to token ids, for one model: the interface the routes use, and its form for the tokenizers of a checkpoint.

Long work runs in a thread, so that the loop goes on streaming: the tokenizers library gives up the interpreter's lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from tokenizers import Tokenizer as BackendTokenizer
from tokenizers import decoders

from frontend.detokenize import ByteLevelDetokenizer, Detokenizer, StreamDetokenizer, TokenBytes

T = TypeVar("T")

THREAD_CHARS = 16_384  # about 4 ms of tokenizing; more than that leaves the loop


class PairTokens(NamedTuple):
    """One pair of texts as the model reads it. `type_ids` is empty for models without segment embeddings."""

    ids: list[int]
    type_ids: list[int]


class Tokenizer(Protocol):
    """What the frontend needs of a tokenizer. All methods may be called from threads."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]: ...

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        """Each pair joined with the model's own special tokens, never truncated."""

    def encode_pair_truncated(self, pair: tuple[str, str], max_tokens: int) -> PairTokens:
        """As `encode_pairs`, but the longer text gives up tokens until all fits `max_tokens`."""

    def detokenizer(self) -> Detokenizer:
        """A fresh one, for one stream."""


class CheckpointTokenizer:
    """A tokenizers-library tokenizer. `has_type_ids`: the model was trained with segment embeddings."""

    def __init__(self, backend: BackendTokenizer, has_type_ids: bool) -> None:
        backend.no_truncation()  # a checkpoint may carry both; lengths are checked, never cut in silence
        backend.no_padding()
        self._backend = backend
        self._has_type_ids = has_type_ids
        self._token_bytes = TokenBytes(backend) if isinstance(backend.decoder, decoders.ByteLevel) else None

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=add_special_tokens).ids)

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        return [self._pair(encoding) for encoding in self._backend.encode_batch(list(pairs))]

    def encode_pair_truncated(self, pair: tuple[str, str], max_tokens: int) -> PairTokens:
        first, second = (self._backend.encode(text, add_special_tokens=False) for text in pair)
        budget = max(0, max_tokens - self._backend.num_special_tokens_to_add(is_pair=True))
        num_first, num_second = split_budget(len(first.ids), len(second.ids), budget)
        first.truncate(num_first)
        second.truncate(num_second)
        return self._pair(self._backend.post_process(first, second, add_special_tokens=True))

    def detokenizer(self) -> Detokenizer:
        if self._token_bytes is not None:
            return ByteLevelDetokenizer(self._token_bytes)
        return StreamDetokenizer(self._backend)

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


async def encode_text(tokenizer: Tokenizer, text: str, add_special_tokens: bool) -> list[int]:
    """Token ids of one prompt."""
    return await off_loop(len(text), lambda: tokenizer.encode(text, add_special_tokens))


async def off_loop(num_chars: int, work: Callable[[], T]) -> T:
    """`work()`, in a thread if it has to go through many characters."""
    return work() if num_chars <= THREAD_CHARS else await asyncio.to_thread(work)
