"""Prompts around a gap, in the forms of the families that were made for it."""

import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.fill_in_middle import fill_in_middle

BEFORE, AFTER = [1, 2], [8, 9]


class Knowing(ByteTokenizer):
    """Knows the given tokens, from id 100 on."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = tokens

    def token_id(self, token: str) -> int | None:
        return 100 + self._tokens.index(token) if token in self._tokens else None


@pytest.mark.parametrize(
    "marks",
    [
        ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
        ("<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"),
        ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),
    ],
)
def test_marks_around_both_texts(marks: tuple[str, str, str]) -> None:
    assert fill_in_middle(BEFORE, AFTER, Knowing(*marks)) == [100, 1, 2, 101, 8, 9, 102]


def test_the_end_before_the_beginning() -> None:
    assert fill_in_middle(BEFORE, AFTER, Knowing("[PREFIX]", "[SUFFIX]")) == [101, 8, 9, 100, 1, 2]


def test_a_model_without_all_marks_cannot() -> None:
    assert fill_in_middle(BEFORE, AFTER, Knowing()) is None
    assert fill_in_middle(BEFORE, AFTER, Knowing("<fim_prefix>", "<fim_suffix>")) is None
