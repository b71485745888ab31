"""Which patterns of pre-tokenizers never go on over a space behind a word."""

import pytest

from frontend.split_patterns import ALNUM, never_crosses

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


FAMILIES = {
    "gpt2": GPT2,
    "cl100k": CL100K,
    "o200k": O200K,
    "deepseek": DEEPSEEK,
    "digits": r"\p{N}{1,3}",
    "range": "[一-龥]+",
    "words": r"\w+|[^\w\s]+",
}


@pytest.mark.parametrize("pattern", FAMILIES.values(), ids=FAMILIES)
def test_word_patterns(pattern: str) -> None:
    assert never_crosses(pattern, ALNUM, " ")
    assert never_crosses(pattern, "\n", ALNUM)


@pytest.mark.parametrize(
    "pattern",
    [
        ".+",  # whole lines
        r"[^\n]+\n",
        r"\w+ \w+",  # two words
        r"\S+\s",  # a word and what is behind it
        r"\p{L}+ ?",
        "x{0,1} ",
        r"(?:\w ?)+",
        r"(?<=a)b",  # what it looks at is not known
        r"a(?=.*b)",
        r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
        "[a-z&&[^b]]+",  # not read
        r"(\w+",
        r"\w+)",
        r"\p{Nonsense}+",
    ],
)
def test_others(pattern: str) -> None:
    assert not never_crosses(pattern, ALNUM, " ")


def test_other_kinds_of_characters() -> None:
    assert not never_crosses(r"\w+▁", ALNUM, "▁")
    assert never_crosses(r"▁?\w+", ALNUM, "▁")
    assert not never_crosses(r"\s?\w+", "\n", ALNUM)
    assert never_crosses(r" ?\w+\n", "\n", ALNUM)
