"""Texts as tokens: limits, cuts that keep special tokens, refusals that name the field."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from frontend import packed_texts
from frontend.byte_tokenizer import ByteTokenizer
from frontend.encode_prefix import Side
from frontend.packed_texts import TextLimits, pack, tokens_of
from frontend.text_model import TextModel
from frontend.tokenize import CheckpointTokenizer
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import fake_card
from ipc.model_card import Embedding

CARD = fake_card(0, "e", "fake:embed", 10, 16, 0)
BYTES = TextModel(CARD, ByteTokenizer(), None)


def word_model() -> TextModel:
    """Words w0 ... w9; a text is between [CLS] (10) and [SEP] (11)."""
    backend = Tokenizer(models.WordLevel({f"w{n}": n for n in range(10)} | {"[CLS]": 10, "[SEP]": 11}, "w0"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 10), ("[SEP]", 11)]
    )
    return TextModel(CARD, CheckpointTokenizer(backend, False), None)


def test_texts_and_token_lists() -> None:
    assert tokens_of("abc", BYTES, TextLimits(), "input") == list(b"abc")
    assert tokens_of([1, 2, 256], BYTES, TextLimits(), "input") == [1, 2, 256]
    assert tokens_of("w1 w2", word_model(), TextLimits(), "input") == [10, 1, 2, 11]
    assert tokens_of("w1 w2", word_model(), TextLimits(add_special_tokens=False), "input") == [1, 2]


def test_long_texts_are_refused_in_the_words_clients_look_for() -> None:
    with pytest.raises(RequestError, match="maximum context length is 10 tokens") as caught:
        tokens_of("x" * 11, BYTES, TextLimits(), "input[3]")
    assert (caught.value.code, caught.value.param) == (ErrorCode.CONTEXT_LENGTH_EXCEEDED, "input[3]")


@pytest.mark.parametrize(
    ("truncate", "side", "expected"),
    [
        (-1, "right", [10, 1, 2, 3, 4, 5, 6, 7, 8, 11]),
        (4, "right", [10, 1, 2, 11]),
        (4, "left", [10, 8, 9, 11]),
        (2, "left", [10, 11]),
        (1, "left", [10]),
        (99, "right", [10, 1, 2, 3, 4, 5, 6, 7, 8, 11]),
    ],
)
def test_cuts_keep_special_tokens(truncate: int, side: Side, expected: Sequence[int]) -> None:
    text = " ".join(f"w{n}" for n in range(1, 10))
    assert tokens_of(text, word_model(), TextLimits(truncate, side), "input") == expected


def test_token_lists_are_cut_as_they_are() -> None:
    assert tokens_of(list(range(20)), BYTES, TextLimits(3, "left"), "input") == [17, 18, 19]
    assert tokens_of(list(range(20)), BYTES, TextLimits(3), "input") == [0, 1, 2]
    with pytest.raises(RequestError, match="maximum context length"):
        tokens_of(list(range(20)), BYTES, TextLimits(), "input")


def test_a_bound_on_the_text_itself() -> None:
    limits = TextLimits(max_own_tokens=2)
    assert tokens_of("w1 w2 w3 w4", word_model(), limits, "input") == [10, 1, 2, 11]
    assert tokens_of("w1 w2", word_model(), limits, "input") == [10, 1, 2, 11]
    assert tokens_of(" ".join(["w3"] * 50), word_model(), limits, "input") == [10, 3, 3, 11]
    text = " ".join(f"w{n}" for n in range(1, 10))
    assert tokens_of(text, word_model(), TextLimits(4, "left", max_own_tokens=5), "input") == [10, 4, 5, 11]
    assert tokens_of(text, word_model(), TextLimits(4, "right", max_own_tokens=5), "input") == [10, 1, 2, 11]
    with pytest.raises(RequestError, match="at least 11 tokens"):
        tokens_of(text, word_model(), TextLimits(max_own_tokens=9), "input")


@pytest.mark.parametrize("text", ["", []])
def test_nothing_to_embed(text: str | list[int]) -> None:
    with pytest.raises(RequestError, match="empty"):
        tokens_of(text, BYTES, TextLimits(), "input")


@pytest.mark.parametrize("ids", [[1, 257], [-1]])
def test_ids_outside_the_vocabulary(ids: list[int]) -> None:
    with pytest.raises(RequestError, match="outside the vocabulary"):
        tokens_of(ids, BYTES, TextLimits(), "input")


def test_lower_case_where_the_model_wants_it() -> None:
    card = msgspec.structs.replace(CARD, embedding=Embedding(lowercase=True))
    assert tokens_of("ABC", replace(BYTES, card=card), TextLimits(), "input") == list(b"abc")


def test_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack([[1, 2], [3]], "input")
    assert (packed.num_texts, packed.num_tokens) == (2, 3)
    assert packed.token_ids == b"\1\0\0\0\2\0\0\0\3\0\0\0"
    monkeypatch.setattr(packed_texts, "MAX_TOKENS", 2)
    with pytest.raises(RequestError, match="at most 2 tokens"):
        pack([[1, 2], [3]], "input")
