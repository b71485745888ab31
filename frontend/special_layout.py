"""Where a model's special tokens stand around one text, and around and between the two texts of a pair.

one text    before [text] after
a pair      before [first] between [second] after
"""

from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer


class SpecialLayout(NamedTuple):
    """Ids of special tokens, and the segment (type id) of each part: before, first, between, second, after."""

    before: list[int]
    between: list[int]
    after: list[int]
    segments: tuple[int, int, int, int, int]

    @property
    def num_tokens(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def ids(self, first: Sequence[int], second: Sequence[int] = ()) -> list[int]:
        """The texts' own ids with the special tokens; a single text is `first`."""
        return [*self.before, *first, *self.between, *second, *self.after]

    def type_ids(self, num_first: int, num_second: int) -> list[int]:
        """As many as `ids` of a pair has."""
        lengths = (len(self.before), num_first, len(self.between), num_second, len(self.after))
        return [segment for segment, length in zip(self.segments, lengths, strict=True) for _ in range(length)]


def single_layout(backend: Tokenizer) -> SpecialLayout | None:
    """Around one text. None for a tokenizer that does something else than to put special tokens around it."""
    plain, whole = (backend.encode("a b", add_special_tokens=add) for add in (False, True))
    own = list(plain.ids)
    before = whole.special_tokens_mask.index(0) if 0 in whole.special_tokens_mask else 0
    end = before + len(own)
    if not own or list(whole.ids[before:end]) != own:
        return None
    types = whole.type_ids
    segments = (types[0], types[before], 0, 0, types[-1])
    return SpecialLayout(list(whole.ids[:before]), [], list(whole.ids[end:]), segments)


def pair_layout(backend: Tokenizer) -> SpecialLayout | None:
    """Around a pair; None as above, also where the second text comes first."""
    first, second = (list(backend.encode(text, add_special_tokens=False).ids) for text in ("a b", "c d e"))
    whole = backend.encode("a b", "c d e")
    ids, types, mask = list(whole.ids), list(whole.type_ids), list(whole.special_tokens_mask)
    if not first or not second or 0 not in mask:
        return None
    begin = mask.index(0)
    middle = begin + len(first)
    end = len(ids) - mask[::-1].index(0)
    start = end - len(second)
    if start < middle or ids[begin:middle] != first or ids[start:end] != second:
        return None
    # an empty part's segment is of no use, but has to be a number
    segments = (types[0], types[begin], types[middle], types[start], types[-1])
    return SpecialLayout(ids[:begin], ids[middle:start], ids[end:], segments)
