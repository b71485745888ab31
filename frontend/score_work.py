"""The pairs of one score or rerank request on their way: tokenized, submitted, coming back in any order.

A cross-encoder reads each pair as one sequence. An embed model reads each distinct text once, and a pair has its score
when both of its texts have come.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontend.encode_prefix import Side
from frontend.packed_texts import TextLimits
from frontend.score_pairs import PairLimits, TextPair, pack_pairs
from frontend.sequence_work import Order, SequenceWork
from frontend.serving import Serving
from frontend.similarity import SimilarityLimits, embed_pairs
from frontend.text_model import TextModel
from frontend.tokenize import off_loop
from frontend.vectors import normalized, pair_similarities
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import Embedding, ModelCard

RawScores = npt.NDArray[np.float64]  # [pairs, labels]: logits or similarities, NaN where nothing came yet
NOT_A_NUMBER = "The model's score of a pair is not a finite number."


@dataclass(frozen=True)
class PairSequences:
    """What is submitted for the pairs: sequences as int32 columns. `first` and `second`: for an embed model, which of
    the sequences are the texts of each pair."""

    lengths: bytes
    token_ids: bytes
    type_ids: bytes = b""
    first: npt.NDArray[np.intp] | None = None
    second: npt.NDArray[np.intp] | None = None

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids) // 4


async def pair_sequences(
    pairs: Sequence[TextPair], model: TextModel, limits: PairLimits, params: tuple[str, str], num_chars: int
) -> PairSequences:
    """Tokenizes, in a thread if the texts are long. Raises RequestError naming one of `params` and the pair."""
    if model.card.task == "embed":
        return await off_loop(num_chars, lambda: _for_embed(pairs, model, limits, params))
    packed = await off_loop(num_chars, lambda: pack_pairs(pairs, model, limits, params))
    return PairSequences(packed.lengths, packed.token_ids, packed.type_ids)


def _for_embed(
    pairs: Sequence[TextPair], model: TextModel, limits: PairLimits, params: tuple[str, str]
) -> PairSequences:
    side: Side = limits.side
    query = TextLimits(limits.truncate, side, max_own_tokens=limits.max_query_tokens)
    document = TextLimits(limits.truncate, side, max_own_tokens=limits.max_doc_tokens)
    found = embed_pairs(pairs, model, SimilarityLimits(query, document), params)
    return PairSequences(found.texts.lengths, found.texts.token_ids, b"", found.first, found.second)


class ScoreWork(SequenceWork):
    """The work of one request's pairs."""

    def __init__(
        self, serving: Serving, card: ModelCard, sequences: PairSequences, order: Order, tells_each: bool = False
    ) -> None:
        super().__init__(serving, card, sequences, order, sequences.type_ids, tells_each)
        self._sequences = sequences
        self._embedding = card.embedding or Embedding()

    def has_come(self) -> npt.NDArray[np.bool_]:
        """[pairs]: those whose score is here."""
        come = self.stream.has_come
        if self._sequences.first is None or self._sequences.second is None:
            return come
        both: npt.NDArray[np.bool_] = come[self._sequences.first] & come[self._sequences.second]
        return both

    def scores(self, indexes: npt.NDArray[np.intp]) -> RawScores:
        """[len(indexes), labels] of pairs that have come. Raises RequestError STEP_FAILED for what is no number."""
        rows = self.stream.logits
        first, second = self._sequences.first, self._sequences.second
        if first is None or second is None:
            found = rows[indexes].astype(np.float64)
        else:
            found = self._similarities(rows[first[indexes]], rows[second[indexes]])
        if not np.isfinite(found).all():
            raise RequestError(ErrorCode.STEP_FAILED, NOT_A_NUMBER)
        return found

    def _similarities(self, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> RawScores:
        if self._embedding.normalize:
            first, second = normalized(first), normalized(second)
        return pair_similarities(first, second, self._embedding.similarity)[:, np.newaxis]
