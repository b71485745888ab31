"""Tokens are found under the text they became, however either is divided."""

from frontend.output_tokens import OutputToken
from frontend.responses.text_tokens import TextTokens


def tokens(*texts: bytes) -> list[OutputToken]:
    return [OutputToken(number, text, -1.0, 1, []) for number, text in enumerate(texts)]


def ids(found: list[OutputToken]) -> list[int]:
    return [token.token_id for token in found]


def test_a_token_is_told_once_where_its_text_begins() -> None:
    read = TextTokens()
    read.add(tokens(b"He", b"llo", b" wor", b"ld", b"<end>"))
    assert ids(read.take("Hel")) == [0, 1]
    assert ids(read.take("lo w")) == [2]
    assert ids(read.take("orld")) == [3]
    assert read.take("more") == []


def test_what_is_before_the_text_is_passed_over() -> None:
    read = TextTokens()
    read.add(tokens(b"<think>", b"so", b"</think>", b"\n", b"Yes"))
    assert ids(read.take("Yes")) == [4]


def test_a_character_of_several_tokens() -> None:
    read = TextTokens()
    read.add(tokens("é".encode()[:1], "é".encode()[1:], b"!"))
    assert ids(read.take("é")) == [0, 1]
    assert ids(read.take("!")) == [2]


def test_text_that_no_token_has_takes_none() -> None:
    read = TextTokens()
    read.add(tokens(b"\xff", b"ok"))
    assert read.take("\ufffd") == []
    assert ids(read.take("ok")) == [1]
