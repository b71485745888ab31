"""Which texts meet, the specification's three forms, and pairs that do not fit."""

import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.routes_score import _reply, sigmoid
from frontend.score_pairs import MAX_PAIRS, check_lengths, make_pairs
from frontend.text_model import TextModel
from frontend.tokenize import split_budget
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import fake_card

MODEL = TextModel(fake_card(0, "r", "fake:score", 10, 16, 0), ByteTokenizer(), None)


def test_forms() -> None:
    assert make_pairs("a", "b") == [("a", "b")]
    assert make_pairs("a", ["b", "c"]) == [("a", "b"), ("a", "c")]
    assert make_pairs(["a"], ["b", "c"]) == [("a", "b"), ("a", "c")]
    assert make_pairs(["a", "b"], ["c", "d"]) == [("a", "c"), ("b", "d")]


def test_lengths_that_do_not_fit_one_another() -> None:
    for first, second in ((["a", "b"], ["c"]), (["a", "b"], "c"), (["a", "b"], ["c", "d", "e"])):
        with pytest.raises(RequestError, match="Input lengths must be either 1:1, 1:N or N:N"):
            make_pairs(first, second)


def test_too_many_pairs() -> None:
    with pytest.raises(RequestError, match="at most"):
        make_pairs("a", ["b"] * (MAX_PAIRS + 1))


def test_over_long_pair() -> None:
    texts = [("ab", "cd"), ("abcdef", "uvwxyz")]
    pairs = MODEL.tokenizer.encode_pairs(texts)
    with pytest.raises(RequestError) as caught:
        check_lengths(pairs, texts, MODEL, None)
    assert caught.value.code is ErrorCode.CONTEXT_LENGTH_EXCEEDED
    assert "pair 1 has 13 tokens" in str(caught.value)
    assert "maximum context length is 10 tokens" in str(caught.value)
    cut = check_lengths(pairs, texts, MODEL, -1)
    assert [len(pair.ids) for pair in cut] == [5, 10]


def test_the_longer_text_gives_first() -> None:
    assert split_budget(3, 4, 9) == (3, 4)
    assert split_budget(2, 100, 10) == (2, 8)
    assert split_budget(100, 2, 10) == (8, 2)
    assert split_budget(100, 100, 9) == (4, 5)


def test_both_formats_of_a_score() -> None:
    assert _reply([0.0], "m", as_float=False)["data"] == [{"index": 0, "object": "score", "score": [0.5]}]
    assert _reply([0.0], "m", as_float=True)["data"] == [{"index": 0, "object": "score", "score": 0.5}]


def test_sigmoid() -> None:
    assert sigmoid(0.0) == 0.5
    assert sigmoid(-800.0) == 0.0
    assert sigmoid(800.0) == 1.0
    assert sigmoid(20.0) < sigmoid(20.1) < 1.0  # single precision would call both 1
    assert sigmoid(-5.0) == pytest.approx(1 - sigmoid(5.0))
