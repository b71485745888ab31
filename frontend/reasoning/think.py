"""Thinking between tags at the beginning of the answer: <think>...</think> and its relatives.

The opening tag may be the last thing in the prompt, or the model writes it itself. Further on in the answer the tags
mean nothing. Newlines next to the tags belong to neither side.
"""

import re

from frontend.reasoning.format import ReasoningFormat
from frontend.text_parser import TextParser
from frontend.text_reader import Sink, Steps, Tags

_NEWLINES = re.compile(r"\n*")


class _Trimmed:
    """A sink in front of `sink` that drops newlines at the beginning and at the end of what comes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._has_begun = False
        self._num_newlines = 0  # held back: they may be the last

    def __call__(self, text: str) -> None:
        body = text.rstrip("\n")
        if not self._has_begun:
            body = body.lstrip("\n")
        if body:
            self._sink("\n" * self._num_newlines + body if self._has_begun else body)
            self._has_begun, self._num_newlines = True, 0
        self._num_newlines += len(text) - len(text.rstrip("\n"))


class ThinkParser(TextParser):
    """`opens`: the text begins inside the thinking."""

    def __init__(self, starts: tuple[str, ...], ends: tuple[str, ...], opens: bool) -> None:
        self._starts = starts
        self._ends = Tags(*ends)
        self._opens = opens
        super().__init__()

    def _read(self) -> Steps[None]:
        reader = self._reader
        reader.record()
        yield from reader.space()
        if (yield from reader.starts(*self._starts)) or self._opens:
            space = reader.recorded()
            thinking = _Trimmed(self._reasoning)
            if self._opens and space.isspace():
                thinking(space)
            if (yield from reader.upto(self._ends, thinking)):
                yield from reader.matching(_NEWLINES)
        else:
            self._give_back()
        yield from reader.rest(self._content)


def tagged(
    name: str, start: str, end: str, marks: tuple[tuple[str, ...], ...], always_opens: bool = False
) -> ReasoningFormat:
    """A form with two tags."""
    return ReasoningFormat(
        name,
        make=lambda opens: ThinkParser((start,), (end,), opens),
        start=start,
        end=end,
        shown_tokens=frozenset({start, end}),
        marks=marks,
        always_opens=always_opens,
    )


THINK = tagged("think", "<think>", "</think>", (("</think>",),))
# R1 thinks always, also when its prompt does not say so
DEEPSEEK_R1 = tagged("deepseek_r1", "<think>", "</think>", (), always_opens=True)
MAGISTRAL = tagged("mistral", "[THINK]", "[/THINK]", (("[THINK]", "[/THINK]"),))
SEED = tagged("seed_oss", "<seed:think>", "</seed:think>", (("</seed:think>",),))
