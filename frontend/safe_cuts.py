"""Where a long text may be cut so that a part of it is tokenized as it is in the whole, for tokenizers of which that
can be shown: at a space behind a letter or digit, between a new line and a letter or digit, and where a tokenizer drops
blanks or takes ideographs one by one, there too.

It can be shown from a tokenizer's own description (`tokenizer.json`):
- its normalizers change each character, or each letter with its marks, alone, or runs of spaces;
- its pre-tokenizers make no piece that goes on over such a place (`split_patterns.py`), and look at most one character
  further than a piece;
- no token of its vocabulary goes on over such a place, so that neither merges nor the likeliest path of a Unigram model
  depend on what is beyond it.

Then only the last word before a cut can come out differently, and added tokens that the cut goes through: what is
MARGIN cuts and the longest added token away is exact.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson
from tokenizers import Tokenizer

from frontend.split_patterns import ALNUM, never_crosses

MARGIN = 8  # cuts between the end of a part and what counts of it

# what Unicode glues to a following space (grapheme break "Prepend"): SentencePiece's tables work on such units
_GLUED = (
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd\U000111c2\U000111c3\U0001193f\U00011941"
    "\U00011a3a\U00011a84-\U00011a89\U00011d46\U00011f02"
)
_SPACE_CUT = rf"(?<=[^\W_{_GLUED}]) "
_LINE_CUT = r"(?<=\n)(?=[^\W_])"
_BLANK_CUT = rf"(?<=[^\s{_GLUED}])[ \n]"
_IDEOGRAPH_CUT = "(?<=[\u4e00-\u9fff])(?=[\u4e00-\u9fff])"

_LOCAL_NORMALIZERS = {"BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Nmt",
                      "Prepend", "Precompiled"}  # fmt: skip
_SPACE_PATTERNS = {" {2,}", "\\s+", "\\s{2,}", "[ ]{2,}"}
_DROP_SPACES = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
_LOCAL_SPLITS = {"Punctuation", "Digits", "ByteLevel", "Metaspace", *_DROP_SPACES}
_BLANKS = {"Ġ": "ĠĊĉčċČ", "▁": "▁ \t\n\r", " ": " \t\n\r"}  # a space in a vocabulary, and what is also blank


@dataclass(frozen=True)
class SafeCuts:
    """`pattern` finds the places: a text may be cut where a match starts. `at_start`: a part may also begin there, in
    the middle of the text, and not only end."""

    pattern: re.Pattern[str]
    at_start: bool
    max_added_chars: int  # of the longest added token


@dataclass(frozen=True)
class _Steps:
    """A tokenizer's description, taken apart. `space`: how a space looks to its pre-tokenizers."""

    normalizers: list[dict[str, Any]]
    splits: list[dict[str, Any]]
    model: dict[str, Any]
    space: str

    @property
    def drops_blanks(self) -> bool:
        return any(split["type"] in _DROP_SPACES for split in self.splits)

    @property
    def kinds(self) -> set[str]:
        return {step["type"] for step in (*self.normalizers, *self.splits)}


def safe_cuts(backend: Tokenizer) -> SafeCuts | None:
    """What holds for this tokenizer; None where nothing can be shown."""
    described: dict[str, Any] = orjson.loads(backend.to_str())
    normalizers = _flat(described["normalizer"], "normalizers")
    space = "▁" if any(_spells_space(step) for step in normalizers) else " "
    steps = _Steps(normalizers, _flat(described["pre_tokenizer"], "pretokenizers"), described["model"], space)
    places = _places(steps)
    if not places:
        return None
    pattern = re.compile("|".join(places))
    added = [token["content"] for token in described["added_tokens"]]
    if any(pattern.search(content) for content in added):
        return None
    makes_words = steps.drops_blanks or any(split.get("split") for split in steps.splits)
    return SafeCuts(
        pattern,
        # a Unigram model adds up rounded numbers along a piece: equal only where pieces are words
        at_start=steps.model["type"] != "Unigram" or makes_words,
        max_added_chars=max(map(len, added), default=0),
    )


def _places(steps: _Steps) -> list[str]:
    """Patterns of the places where this tokenizer's texts may be cut."""
    places: list[str] = []
    if _is_local(steps, ALNUM, steps.space):
        if steps.drops_blanks and all(split["type"] != "Split" for split in steps.splits):
            places.append(_BLANK_CUT)
        elif steps.drops_blanks or _tokens_end_at(steps, newline=False):
            places.append(_SPACE_CUT)
    if not steps.drops_blanks and _is_local(steps, "\n", ALNUM) and _tokens_end_at(steps, newline=True):
        places.append(_LINE_CUT)
    if places and any(step.get("handle_chinese_chars") for step in steps.normalizers):
        places.append(_IDEOGRAPH_CUT)
    return places


def _flat(step: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """The steps of a sequence, in order; sequences may be nested."""
    if step is None:
        return []
    if step["type"] != "Sequence":
        return [step]
    return [one for part in step[key] for one in _flat(part, key)]


def _spells_space(step: dict[str, Any]) -> bool:
    """It writes SentencePiece's sign for each space."""
    return bool(step["type"] == "Replace" and step["pattern"] == {"String": " "} and step["content"] == "▁")


def _is_local(steps: _Steps, before: str, after: str) -> bool:
    """Neither normalizers nor pre-tokenizers join a character of `before` with a later one of `after`."""
    return all(_normalizes_locally(step, before, after) for step in steps.normalizers) and all(
        _splits_locally(split, steps.space, before, after) for split in steps.splits
    )


def _normalizes_locally(step: dict[str, Any], before: str, after: str) -> bool:
    if step["type"] != "Replace":
        return bool(step["type"] in _LOCAL_NORMALIZERS)
    pattern: dict[str, str] = step["pattern"]
    if _spells_space(step) or pattern.get("Regex") in _SPACE_PATTERNS:
        return True
    return never_crosses(_source(pattern), before, after)


def _splits_locally(split: dict[str, Any], space: str, before: str, after: str) -> bool:
    if split["type"] != "Split":
        return bool(split["type"] in _LOCAL_SPLITS)
    if split["pattern"] == {"String": " "} and space != " ":
        return True  # there is none left
    makes_pieces: bool = split["behavior"] in ("Isolated", "Removed")
    return makes_pieces and never_crosses(_source(split["pattern"]), before, after)


def _source(pattern: dict[str, str]) -> str:
    return pattern["Regex"] if "Regex" in pattern else re.escape(pattern["String"])


def _tokens_end_at(steps: _Steps, newline: bool) -> bool:
    """No token has a letter or digit and then a space, or with `newline` a new line and then a letter or digit."""
    model = steps.model
    if model["type"] == "BPE":
        if model.get("dropout") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
            return False
        vocabulary = model["vocab"]
    elif model["type"] == "Unigram":
        vocabulary = {piece for piece, _ in model["vocab"]}
    else:
        return False
    space = "Ġ" if "ByteLevel" in steps.kinds else "▁" if "Metaspace" in steps.kinds else steps.space
    blank = ("Ċ" if space == "Ġ" else "\n") if newline else space
    if blank not in vocabulary and not (newline and "<0x0A>" in vocabulary):
        return False  # what is not known could be joined to a letter that is not known
    letter = f"[^\\x00-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7f{_BLANKS[space]}]"
    crossing = re.compile(blank + letter if newline else letter + blank)
    return not any(blank in piece and crossing.search(piece) for piece in vocabulary)
