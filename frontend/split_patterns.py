"""Reads the regular expressions of a tokenizer's pre-tokenizer, as far as to say that no match has one kind of
character and another one later on: never a letter and then a space, say, so that neither "the capital" nor "the " is a
piece.

Then a text may be cut between two such characters, and each part is split as it is in the whole. Anything this small
reader does not know counts as a pattern that might do it.
"""

import re
from typing import NamedTuple

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

_ESCAPE = re.compile(r"\\(?:[pP]\{\^?\w+\}|x\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[sSdDwWhHrntfvae]|[^\w])")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\\\[\]])*\]")  # without classes inside
_GROUP = re.compile(r"\((?:\?(?:[a-z]*):)?(?!\?)")
_LOOKAHEAD = re.compile(r"\(\?[=!]")
_QUANTIFIER = re.compile(r"(?:[?*+]|\{(\d*)(,?)(\d*)\})[?+]?")
_WORD_BORDER = re.compile(r"\\[bB]")
_PLAIN = re.compile(r"[^\\\[\](){}.^$*+?|]")

# letters and digits of many scripts: what a class can match is asked of the tokenizers library itself
ALNUM = "".join(char for char in map(chr, range(0x2000)) if char.isalnum()) + "漢字かなカナ한국어Ａ９𝒜𐍈"


class Unknown(Exception):
    """The reader does not know what this pattern matches."""


class _Item(NamedTuple):
    """One element of a sequence, with its quantifier."""

    has_before: bool  # it may take a character of the kind that comes first
    has_after: bool  # it may take one of the other kind
    is_long: bool  # it may take more than one character


def never_crosses(pattern: str, before: str, after: str) -> bool:
    """No match of `pattern` has a character of `before` and, later on, one of `after`; nor does the pattern look
    further than one character past a match."""
    try:
        at, _ = _Reader(pattern, before, after).alternatives(0)
    except Unknown:
        return False
    return at == len(pattern)


class _Reader:
    """Goes through one pattern. Raises Unknown where it does not know on, and for a sequence that crosses."""

    def __init__(self, pattern: str, before: str, after: str) -> None:
        self._pattern = pattern
        self._before = before
        self._after = after

    def alternatives(self, at: int) -> tuple[int, list[_Item]]:
        """Up to a closing parenthesis or the end. Returns where it stopped, and the items of all sequences."""
        all_items: list[_Item] = []
        sequence: list[_Item] = []
        while at < len(self._pattern) and self._pattern[at] != ")":
            if self._pattern[at] == "|":
                sequence = []
                at += 1
                continue
            at, item = self._item(at)
            if item is None:
                continue
            all_items.append(item)
            is_behind = any(one.has_before for one in sequence) or (item.has_before and item.is_long)
            if item.has_after and is_behind:
                raise Unknown
            sequence.append(item)
        return at, all_items

    def _item(self, at: int) -> tuple[int, _Item | None]:
        """The next element and its quantifier; None for one that takes no character."""
        if border := _WORD_BORDER.match(self._pattern, at):
            return border.end(), None
        if ahead := _LOOKAHEAD.match(self._pattern, at):
            end, items = self._group(ahead.end())
            if len(items) != 1 or items[0].is_long:
                raise Unknown
            return end, None
        if group := _GROUP.match(self._pattern, at):
            at, items = self._group(group.end())
            item = _Item(any(one.has_before for one in items), any(one.has_after for one in items), True)
        else:
            at, item = self._single(at)
        if quantifier := _QUANTIFIER.match(self._pattern, at):
            return quantifier.end(), item._replace(is_long=item.is_long or _repeats(quantifier))
        return at, item

    def _group(self, at: int) -> tuple[int, list[_Item]]:
        """The inside of a group, and where it ends."""
        at, items = self.alternatives(at)
        if not self._pattern.startswith(")", at):
            raise Unknown
        return at + 1, items

    def _single(self, at: int) -> tuple[int, _Item]:
        """A class, an escape or a plain character."""
        for kind in (_CLASS, _ESCAPE, _PLAIN):
            if found := kind.match(self._pattern, at):
                item = _Item(_takes(found[0], self._before), _takes(found[0], self._after), False)
                return found.end(), item
        raise Unknown


def _repeats(quantifier: re.Match[str]) -> bool:
    least, comma, most = quantifier.groups()
    if comma is None:
        return quantifier[0][0] != "?"
    return (most if comma else least) not in ("", "0", "1") or bool(comma and not most)


def _takes(element: str, characters: str) -> bool:
    """The element matches at least one of the characters."""
    try:
        left = Split(Regex(element), "removed").pre_tokenize_str(characters)
    except Exception as error:
        raise Unknown from error
    return sum(len(piece) for piece, _ in left) < len(characters)
