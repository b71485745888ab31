"""Pairs for an embed model: each text once, with the prompt of its side; scores from whatever has come."""

import msgspec
import numpy as np

from frontend.byte_tokenizer import ByteTokenizer
from frontend.packed_texts import TextLimits
from frontend.similarity import SimilarityLimits, embed_pairs
from frontend.text_model import TextModel
from ipc.fake_card import fake_card
from ipc.model_card import Embedding

CARD = msgspec.structs.replace(
    fake_card(0, "e", "fake:embed", 0, 16, 0), embedding=Embedding(query_prompt="q", document_prompt="d")
)
MODEL = TextModel(CARD, ByteTokenizer(), None)


def texts(packed: bytes, lengths: bytes) -> list[str]:
    ends = np.frombuffer(lengths, "<i4").cumsum()[:-1]
    return [bytes(part.tolist()).decode() for part in np.split(np.frombuffer(packed, "<i4"), ends)]


def test_each_text_once() -> None:
    found = embed_pairs([("a", "b"), ("a", "c"), ("b", "a"), ("a", "b")], MODEL)
    assert texts(found.texts.token_ids, found.texts.lengths) == ["qa", "db", "dc", "qb", "da"]
    assert found.first.tolist() == [0, 0, 3, 0]
    assert found.second.tolist() == [1, 2, 4, 1]


def test_limits_of_each_side() -> None:
    limits = SimilarityLimits(TextLimits(truncate=2), TextLimits(max_own_tokens=3))
    found = embed_pairs([("abcd", "efgh")], MODEL, limits)
    assert texts(found.texts.token_ids, found.texts.lengths) == ["qa", "def"]
