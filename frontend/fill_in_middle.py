"""Prompts of models that fill in the middle: what comes before the gap, what comes after it, and the marks around them.

Every family has marks of its own, and says in its paper in which order the texts come.
"""

from collections.abc import Sequence
from typing import NamedTuple

from frontend.tokenize import Tokenizer


class Marks(NamedTuple):
    """Tokens around the texts; `last` "" : the prompt ends with a text."""

    prefix: str
    suffix: str
    last: str
    suffix_first: bool = False


FAMILIES = (
    Marks("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen 2.5 Coder, CodeGemma, Granite 4
    Marks("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, StarCoder 2, Granite Code
    Marks("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    Marks("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # noqa: RUF001 - DeepSeek Coder
    Marks("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama
    Marks("[PREFIX]", "[SUFFIX]", "", suffix_first=True),  # Codestral
)


def fill_in_middle(prefix: Sequence[int], suffix: Sequence[int], tokenizer: Tokenizer) -> list[int] | None:
    """The prompt after which the model writes what stands between the two, without a beginning-of-text token. None: the
    model has no such marks."""
    for family in FAMILIES:
        marks = [tokenizer.token_id(mark) for mark in (family.prefix, family.suffix, family.last) if mark]
        ids = [mark for mark in marks if mark is not None]
        if len(ids) < len(marks):
            continue
        if family.suffix_first:
            return [ids[1], *suffix, ids[0], *prefix]
        return [ids[0], *prefix, ids[1], *suffix, ids[2]]
    return None
