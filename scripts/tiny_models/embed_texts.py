"""What tiny-embed learns from: a question, a text that answers it, and texts that nearly do (see `rerank_texts.py`)."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from rerank_texts import (
    Stage,
    Subject,
    ask,
    draw_relation,
    draw_subject,
    held_out_subject,
    right_text,
    wrong_text,
)

NUM_WRONG = 2


class Group(NamedTuple):
    """One question with its texts. Groups of the same `fact` (thing and relation) may answer each other's questions."""

    question: str
    right: str
    wrong: tuple[str, ...]
    fact: tuple[str, str]


def group_about(rng: Random, subject: Subject, stage: Stage) -> Group:
    """A question about the subject, drawn anew each time."""
    relation = draw_relation(rng, subject)
    question = ask(rng, relation, subject.name)
    right = right_text(rng, subject, relation, stage)
    wrong = tuple(wrong_text(rng, subject, relation, stage) for _ in range(NUM_WRONG))
    return Group(question, right, wrong, (subject.name, relation.questions[0]))


def draw_groups(rng: Random, count: int, stages: tuple[Stage, ...]) -> list[Group]:
    """Groups for training, about anything."""
    return [group_about(rng, draw_subject(rng), rng.choice(stages)) for _ in range(count)]


def held_out_groups(rng: Random, count: int, stage: Stage) -> list[Group]:
    """Groups about countries that training never names."""
    return [group_about(rng, held_out_subject(rng), stage) for _ in range(count)]
