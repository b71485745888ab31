"""What a relation is for tiny-rerank: what one can ask about a thing, and how texts say it.

In the patterns {x} is the thing and {v} the value; brackets stand for alternatives (see `phrasings.expand`).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Value(Enum):
    """What kind of word answers a question."""

    NAME = auto()  # a made-up place or person
    NUMBER = auto()
    YEAR = auto()
    WORD = auto()  # an ordinary word: a colour, a dish, a job


class Relation(NamedTuple):
    """One thing to ask: its questions, its statements, and statements by pronoun that follow a sentence about {x}."""

    questions: tuple[str, ...]
    statements: tuple[str, ...]
    pronoun: str
    value: Value


def named(noun: str, value: Value, *more_questions: str, more: tuple[str, ...] = ()) -> Relation:
    """A relation that is named by a noun: "the capital of France", "France's capital"."""
    return Relation(
        (
            f"[what is|what's|tell me|do you know|name|which is|can you tell me] the {noun} of {{x}}",
            f"[what is|what's|tell me|which is] {{x}}'s {noun}",
            f"{noun} of {{x}}",
            f"{{x}} {noun}",
            *more_questions,
        ),
        (
            f"[The {noun} of {{x}} is|{{x}}'s {noun} is|The {noun} of {{x}} is called|"
            f"As for {{x}}, its {noun} is] {{v}}.",
            f"{{v}} is [the {noun} of {{x}}|{{x}}'s {noun}|known as the {noun} of {{x}}].",
            *more,
        ),
        f"[Its {noun} is {{v}}|The {noun} is {{v}}|{{v}} is its {noun}].",
        value,
    )
