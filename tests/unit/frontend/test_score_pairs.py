"""Which texts meet, and as which tokens: pairs that fit, pairs that are cut, pairs that are refused."""

from collections.abc import Sequence

import numpy as np
import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.score_pairs import PackedPairs, PairLimits, TextPair, make_pairs, pack_pairs
from frontend.text_model import TextModel
from frontend.tokenize import CheckpointTokenizer, split_budget
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import FAKE_EOS, fake_card
from tests.support import small_tokenizers

PARAMS = ("text_1", "text_2")
MODEL = TextModel(fake_card(0, "r", "fake:score", 10, 16, 0), ByteTokenizer(), None)


def rows(packed: PackedPairs) -> list[list[int]]:
    lengths = np.frombuffer(packed.lengths, "<i4")
    return [part.tolist() for part in np.split(np.frombuffer(packed.token_ids, "<i4"), np.cumsum(lengths)[:-1])]


def packed_texts(texts: Sequence[TextPair], limits: PairLimits) -> list[str]:
    """The pairs as texts again, with a bar between."""
    found = rows(pack_pairs(texts, MODEL, limits, PARAMS))
    return ["".join("|" if token == FAKE_EOS else chr(token) for token in row) for row in found]


def test_forms() -> None:
    assert make_pairs(["a"], ["b"], PARAMS) == [("a", "b")]
    assert make_pairs(["a"], ["b", "c"], PARAMS) == [("a", "b"), ("a", "c")]
    assert make_pairs(["a", "b"], ["c", "d"], PARAMS) == [("a", "c"), ("b", "d")]


def test_lengths_that_do_not_fit_one_another() -> None:
    for first, second in ((["a", "b"], ["c"]), (["a", "b"], ["c", "d", "e"])):
        with pytest.raises(RequestError, match="Input lengths must be either 1:1, 1:N or N:N"):
            make_pairs(first, second, PARAMS)


def test_over_long_pair() -> None:
    with pytest.raises(RequestError) as caught:
        pack_pairs([("ab", "cd"), ("abcdef", "uvwxyz")], MODEL, PairLimits(), PARAMS)
    assert caught.value.code is ErrorCode.CONTEXT_LENGTH_EXCEEDED
    assert caught.value.param == "text_2[1]"
    assert "pair 1 has at least 13 tokens" in str(caught.value)
    assert "maximum context length is 10 tokens" in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (PairLimits(truncate=-1), "abcd|uvwxy"),
        (PairLimits(truncate=100), "abcd|uvwxy"),  # never more than the model takes
        (PairLimits(truncate=5), "ab|uv"),
        (PairLimits(truncate=5, side="left"), "ef|yz"),
        (PairLimits(max_query_tokens=3, max_doc_tokens=2), "abc|uv"),
        (PairLimits(truncate=-1, max_query_tokens=2), "ab|uvwxyz"),
        (PairLimits(truncate=-1, max_doc_tokens=9000), "abcd|uvwxy"),
        (PairLimits(truncate=6, side="left", max_doc_tokens=4), "ef|vwx"),
        (PairLimits(truncate=1), "|"),
    ],
)
def test_cut_pairs(limits: PairLimits, expected: str) -> None:
    assert packed_texts([("abcdef", "uvwxyz")], limits) == [expected]


def test_long_and_short_pairs_keep_their_order() -> None:
    texts = [("q", "x" * 9000), ("q", "ab"), ("q", "y" * 8000), ("q", "c")]
    assert packed_texts(texts, PairLimits(truncate=-1)) == ["q|" + "x" * 8, "q|ab", "q|" + "y" * 8, "q|c"]


@pytest.mark.parametrize("truncate", [0, 1])
def test_no_room(truncate: int) -> None:
    model = TextModel(MODEL.card, CheckpointTokenizer(small_tokenizers.wordpiece(), has_type_ids=True), None)
    with pytest.raises(RequestError) as caught:
        pack_pairs([("a b", "c d")], model, PairLimits(truncate=truncate), PARAMS)
    assert caught.value.param == "truncate_prompt_tokens"


def test_a_long_pair_is_refused_before_it_is_tokenized() -> None:
    backend = small_tokenizers.wordpiece()
    tokenizer = CheckpointTokenizer(backend, has_type_ids=True)
    model = TextModel(MODEL.card, tokenizer, None)
    with pytest.raises(RequestError, match=r"has at least 1\d tokens"):
        pack_pairs([("the capital", "of France is " * 100_000)], model, PairLimits(), PARAMS)


def test_cut_as_the_library_cuts() -> None:
    backend = small_tokenizers.wordpiece()
    model = TextModel(MODEL.card, CheckpointTokenizer(backend, has_type_ids=True), None)
    pair = ("the capital of France " * 9, "is Paris and it's the river " * 900)
    packed = pack_pairs([pair], model, PairLimits(truncate=-1), PARAMS)
    backend.enable_truncation(10, strategy="longest_first")
    whole = backend.encode(*pair)
    assert rows(packed) == [whole.ids]
    assert np.frombuffer(packed.type_ids, "<i4").tolist() == whole.type_ids


def test_the_longer_text_gives_first() -> None:
    assert split_budget(3, 4, 9) == (3, 4)
    assert split_budget(2, 100, 10) == (2, 8)
    assert split_budget(100, 2, 10) == (8, 2)
    assert split_budget(100, 100, 9) == (4, 5)
