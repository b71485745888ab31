"""The first or last tokens of a long text, at a cost that grows with their number and not with the text.

A part of the text that should hold enough tokens is cut out at a safe place (`safe_cuts.py`) and tokenized; where it
turns out too short, one twice as long is tried. What is given back is exactly what the whole text would give; where
that cannot be shown, the whole text is tokenized.
"""

from collections.abc import Sequence
from typing import Any, Literal

from tokenizers import Tokenizer

from frontend.safe_cuts import MARGIN, SafeCuts

Side = Literal["left", "right"]  # the side of the text that gives way

CHARS_PER_TOKEN = 8  # of the first part that is tried; English has 4 to 5
MIN_PART_CHARS = 1024


def first_ids(backend: Tokenizer, cuts: SafeCuts | None, text: str, max_tokens: int) -> list[int]:
    """The first `max_tokens` ids of `text`, or all if there are fewer; no special tokens are added."""
    size = part_chars(max_tokens)
    while cuts is not None and 2 * size < len(text):
        found = _cuts_in(cuts, text, size // 2, size)
        end, sure = (found[-1], _last_sure(found, cuts)) if found else (0, 0)
        if sure:
            part = backend.encode(text[:end], add_special_tokens=False)
            if len(part.ids) >= max_tokens and part.offsets[max_tokens - 1][1] <= sure:
                return list(part.ids[:max_tokens])
        size *= 2
    return list(backend.encode(text, add_special_tokens=False).ids[:max_tokens])


def last_ids(backend: Tokenizer, cuts: SafeCuts | None, text: str, max_tokens: int) -> list[int]:
    """The last `max_tokens` ids of `text`, or all if there are fewer; no special tokens are added."""
    size = part_chars(max_tokens)
    while cuts is not None and cuts.at_start and 2 * size < len(text):
        found = _cuts_in(cuts, text, len(text) - size, len(text) - size // 2)
        begin, sure = (found[0], _first_sure(found, cuts)) if found else (0, 0)
        if sure:
            part = backend.encode(text[begin:], add_special_tokens=False)
            if len(part.ids) >= max_tokens and begin + part.offsets[-max_tokens][0] >= sure:
                return list(part.ids[-max_tokens:])
        size *= 2
    ids = backend.encode(text, add_special_tokens=False).ids
    return list(ids[len(ids) - max_tokens :] if len(ids) > max_tokens else ids)


def part_chars(max_tokens: int) -> int:
    """Characters of the first part that is tried; texts up to twice that are tokenized whole."""
    return max(MIN_PART_CHARS, max_tokens * CHARS_PER_TOKEN)


def _cuts_in(cuts: SafeCuts, text: str, begin: int, end: int) -> Sequence[int]:
    return [cut.start() for cut in cuts.pattern.finditer(text, begin, end)]


def _last_sure(found: Sequence[int], cuts: SafeCuts) -> int:
    """The place up to which a part that ends at the last cut is as in the whole; 0: none."""
    return max((cut for cut in found[:-MARGIN] if found[-1] - cut > cuts.max_added_chars), default=0)


def _first_sure(found: Sequence[int], cuts: SafeCuts) -> int:
    """The place from which on a part that begins at the first cut is as in the whole; 0: none."""
    return min((cut for cut in found[MARGIN:] if cut - found[0] > cuts.max_added_chars), default=0)


def cut_ids(ids: Sequence[int], max_tokens: int, side: Side) -> list[int]:
    """At most `max_tokens` of the ids."""
    if len(ids) <= max_tokens:
        return list(ids)
    return list(ids[:max_tokens] if side == "right" else ids[len(ids) - max_tokens :])


def content_ids(backend: Any, cuts: SafeCuts | None, text: str, max_tokens: int, side: Side) -> list[int]:
    """`first_ids` or `last_ids`, by the side that gives way. 0 tokens: none."""
    if max_tokens <= 0:
        return []
    find = first_ids if side == "right" else last_ids
    return find(backend, cuts, text, max_tokens)
