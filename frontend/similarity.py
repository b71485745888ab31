"""Pairs of texts for an embed model, whose score is how alike the vectors of the two are, as the model compares them.

Each distinct text is embedded once, however many pairs it is in. The first text of a pair is a query, the second a
document: the model's own prompts for them are written before, if it has any.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frontend.packed_texts import PackedTexts, TextLimits, pack, tokens_of
from frontend.text_model import TextModel
from ipc.model_card import Embedding


class EmbedPairs(NamedTuple):
    """Tokenized pairs: which of the `texts` are the first and the second of each pair."""

    texts: PackedTexts
    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]


class SimilarityLimits(NamedTuple):
    """How long the texts of the pairs may be; see `TextLimits`."""

    query: TextLimits = TextLimits()
    document: TextLimits = TextLimits()


NO_LIMITS = SimilarityLimits()


def embed_pairs(
    pairs: Sequence[tuple[str, str]],
    model: TextModel,
    limits: SimilarityLimits = NO_LIMITS,
    params: tuple[str, str] = ("text_1", "text_2"),
) -> EmbedPairs:
    """Tokenizes and checks all pairs; may run in a thread. Raises RequestError naming one of `params` and the pair."""
    embedding = model.card.embedding or Embedding()
    sequences: list[list[int]] = []
    numbers: dict[tuple[int, str], int] = {}
    places: list[tuple[int, int]] = []
    for index, pair in enumerate(pairs):
        for role, text in enumerate(pair):
            if (role, text) not in numbers:
                prompt = embedding.document_prompt if role else embedding.query_prompt
                param = f"{params[role]}[{index}]"
                sequences.append(tokens_of(prompt + text, model, limits[role], param))
                numbers[role, text] = len(sequences) - 1
        places.append((numbers[0, pair[0]], numbers[1, pair[1]]))
    found = np.array(places, np.intp).reshape(-1, 2)
    return EmbedPairs(pack(sequences, params[1]), found[:, 0], found[:, 1])
