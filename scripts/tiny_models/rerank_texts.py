"""Made-up pairs of a question and a text for tiny-rerank, and whether the text answers the question.

A question comes with several texts at once: one that answers it, and ones that are wrong in one respect only (another
thing, another relation, both said but not together), so that only a reader who matches the thing and the relation can
tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from random import Random
from typing import NamedTuple

from facts import CITIES, COUNTRIES, FIRST_NAMES, HELD_OUT_COUNTRIES, made_up_name, made_up_place
from phrasings import expand
from rerank_countries import COUNTRY
from rerank_others import COMPANY, FILLERS, FILLERS_ABOUT, PERSON, THING, WORK
from rerank_relation import Relation, Value

_WORDS = (
    "red green blue yellow black white brown grey orange purple pink silver golden wood steel glass paper "
    "cotton stone plastic leather "
    "rice bread soup fish cheese pasta beans potatoes cake tea coffee baker doctor teacher lawyer farmer "
    "painter nurse pilot cook driver "
    "history physics music law medicine chemistry dog cat horse bicycle boat warm cold sunny windy mild dry "
    "love war friendship travel "
    "shoes tyres furniture toys cars phones software engines books clocks"
).split()
_THINGS = (
    "car house door bag table lamp book phone chair hat coat boat bridge tower garden bicycle cup box "
    "wall guitar ship key watch piano"
).split()
_HELD_OUT_COUNTRIES = tuple(country.name for country in HELD_OUT_COUNTRIES)
_REAL = {country.name: country for country in COUNTRIES if country not in HELD_OUT_COUNTRIES}
_LANGUAGES = sorted({country.language for country in _REAL.values()})
_TRAINING_COUNTRIES = tuple(country.name for country in COUNTRIES if country not in HELD_OUT_COUNTRIES)


class Pair(NamedTuple):
    """A question, a text, and whether the text answers it."""

    question: str
    text: str
    answers: bool


class Stage(Enum):
    """How hard the pairs are; the training goes through the stages in this order."""

    NAMES = auto()  # one sentence; a wrong one says the same of another thing, so that only the names tell them apart
    SENTENCES = auto()  # one sentence, wrong in any way
    PASSAGES = auto()  # two to four sentences


class Expanded(NamedTuple):
    """A relation with its brackets spelt out."""

    questions: list[str]
    statements: list[str]
    pronouns: list[str]
    value: Value


def _expand(relation: Relation) -> Expanded:
    return Expanded(
        sorted({question for pattern in relation.questions for question in expand(pattern)}),
        sorted({statement for pattern in relation.statements for statement in expand(pattern)}),
        expand(relation.pronoun),
        relation.value,
    )


_COUNTRY, _PERSON, _THING, _WORK, _COMPANY = (
    [_expand(relation) for relation in kind] for kind in (COUNTRY, PERSON, THING, WORK, COMPANY)
)


@dataclass(frozen=True)
class Subject:
    """What the question is about, all that could be asked about such a thing, and the real countries it may be
    confused with."""

    name: str
    relations: list[Expanded]
    countries: tuple[str, ...] = _TRAINING_COUNTRIES


def draw_subject(rng: Random) -> Subject:
    """Any thing of any kind; countries most often, and mostly made up."""
    kind = _COUNTRY if rng.random() < 0.8 else rng.choice((_PERSON, _PERSON, _THING, _WORK, _COMPANY))
    return another_subject(rng, Subject("", kind))


def another_subject(rng: Random, subject: Subject) -> Subject:
    """Another thing of the same kind, now and then with a name that looks alike."""
    relations = subject.relations
    if subject.name and rng.random() < 0.12:
        return replace(subject, name=look_alike(rng, subject.name))
    if relations is _COUNTRY:
        name = rng.choice(subject.countries) if rng.random() < 0.35 else made_up_place(rng)
    elif relations is _PERSON:
        name = rng.choice(FIRST_NAMES) if rng.random() < 0.4 else made_up_name(rng)
        name = f"{name} {made_up_name(rng)}" if rng.random() < 0.3 else name
    elif relations is _THING:
        owner = rng.choice(FIRST_NAMES) if rng.random() < 0.3 else made_up_name(rng)
        name = rng.choice(
            (f"the {rng.choice(_THINGS)}", f"{owner}'s {rng.choice(_THINGS)}", f"the {owner} {rng.choice(_THINGS)}")
        )
    elif relations is _WORK:
        name = rng.choice(
            (made_up_name(rng), f"The {made_up_name(rng)}", f"{made_up_name(rng)} and {made_up_name(rng)}")
        )
    else:
        name = made_up_name(rng) + rng.choice(("", "", " Ltd", " Inc", " Systems", " Group"))
    return another_subject(rng, subject) if name == subject.name else replace(subject, name=name)


def look_alike(rng: Random, name: str) -> str:
    """A name that begins like this one and ends otherwise."""
    kept = name[: max(2, rng.randint(len(name) // 2, len(name) - 1))].rstrip()
    changed = kept + rng.choice(("a", "ia", "ina", "on", "land", "is", "o", "ese", "er", "um", "eth", "ax"))
    return changed if changed != name else f"{changed}k"


def draw_value(rng: Random, value: Value, about: str) -> str:
    """Something that could answer; now and then a name that looks like the thing itself, as Brazil's Brasilia does."""
    if value is Value.YEAR:
        return str(rng.randint(1500, 2024))
    if value is Value.NUMBER:
        return rng.choice(
            (
                str(rng.randint(1, 99)),
                f"{rng.randint(1, 999)},000",
                f"{rng.randint(1, 300)} million",
                str(rng.randint(100, 9999)),
            )
        )
    if value is Value.WORD:
        return rng.choice(_WORDS)
    draw = rng.random()
    if draw < 0.1:
        return look_alike(rng, about)
    if draw < 0.3:
        return rng.choice((*CITIES, *FIRST_NAMES))
    return made_up_place(rng)


def true_value(rng: Random, relation: Expanded, name: str) -> str | None:
    """The real capital or language of a country of the training, or for other places a real language."""
    country = _REAL.get(name)
    if relation is _COUNTRY[0]:
        return country.capital if country else None
    if relation is _COUNTRY[1]:
        return country.language if country else rng.choice(_LANGUAGES)
    return None


def state(rng: Random, relation: Expanded, name: str) -> str:
    """One sentence that says the relation of the thing called `name`."""
    value = true_value(rng, relation, name) if rng.random() < 0.6 else None
    sentence = rng.choice(relation.statements).format(x=name, v=value or draw_value(rng, relation.value, name))
    return sentence[0].upper() + sentence[1:]


def filler(rng: Random, name: str | None) -> str:
    """A sentence that answers nothing, about the thing called `name` if one is given."""
    sentence = rng.choice(FILLERS if name is None else FILLERS_ABOUT)
    sentence = sentence.format(x=name, n=rng.randint(2, 90), w=rng.choice(_WORDS))
    return sentence[0].upper() + sentence[1:]


def ask(rng: Random, relation: Expanded, name: str) -> str:
    """The question, written with care or without."""
    question = rng.choice(relation.questions).format(x=name)
    return question[0].upper() + question[1:] + rng.choice(("?", "?", "?", ""))


def other_relation(rng: Random, subject: Subject, relation: Expanded) -> Expanded:
    """Something else that can be said about the subject."""
    while (other := draw_relation(rng, subject)) is relation:
        pass
    return other


def draw_relation(rng: Random, subject: Subject) -> Expanded:
    """What is asked: of a country every other time its capital or its language, the first two of its relations."""
    often = subject.relations is _COUNTRY and rng.random() < 0.5
    return rng.choice(subject.relations[:2] if often else subject.relations)


def right_text(rng: Random, subject: Subject, relation: Expanded, stage: Stage) -> str:
    """A text that answers."""
    if stage is not Stage.PASSAGES:
        return state(rng, relation, subject.name)
    other = another_subject(rng, subject)
    if rng.random() < 0.25:  # the thing is named in one sentence, and what is asked for is said in the next
        value = draw_value(rng, relation.value, subject.name)
        sentences = [f"{filler(rng, subject.name)} {rng.choice(relation.pronouns).format(v=value)}"]
    else:
        sentences = [state(rng, relation, subject.name)]
    sentences += rng.sample(
        [
            filler(rng, None),
            filler(rng, subject.name),
            state(rng, other_relation(rng, subject, relation), subject.name),
            state(rng, other_relation(rng, subject, relation), other.name),
            state(rng, relation, other.name),
        ],
        rng.choice((1, 1, 2, 3)),
    )
    rng.shuffle(sentences)
    return " ".join(sentences)


def wrong_text(rng: Random, subject: Subject, relation: Expanded, stage: Stage) -> str:
    """A text that does not answer, though it may come close."""
    other = another_subject(rng, subject)
    elsewhere = other_relation(rng, subject, relation)
    other_thing = state(rng, relation, other.name)
    other_question = state(rng, elsewhere, subject.name)
    if stage is Stage.NAMES:
        return other_thing
    if stage is Stage.SENTENCES:
        draw = rng.random()
        if draw < 0.4:
            return other_thing
        if draw < 0.8:
            return other_question
        if draw < 0.86:
            return state(rng, elsewhere, other.name)
        if draw < 0.92:
            return filler(rng, rng.choice((None, subject.name)))
        stranger = draw_subject(rng)
        return state(rng, rng.choice(stranger.relations), stranger.name)
    sentences = rng.sample(
        [
            other_thing,
            other_question,
            state(rng, elsewhere, other.name),
            filler(rng, None),
            filler(rng, subject.name),
            filler(rng, other.name),
        ],
        rng.choice((2, 2, 3)),
    )
    return " ".join(sentences)


def pairs_about(rng: Random, subject: Subject, stage: Stage) -> list[Pair]:
    """A question about the subject, a right text and a wrong one; of SENTENCES two wrong ones, as more can be wrong."""
    relation = draw_relation(rng, subject)
    question = ask(rng, relation, subject.name)
    pairs = [Pair(question, right_text(rng, subject, relation, stage), True)]
    num_wrong = 2 if stage is Stage.SENTENCES else 1
    return pairs + [Pair(question, wrong_text(rng, subject, relation, stage), False) for _ in range(num_wrong)]


def held_out_subject(rng: Random) -> Subject:
    """A country that training never names, told apart from others of them and from made-up ones."""
    return Subject(rng.choice(_HELD_OUT_COUNTRIES), _COUNTRY, _HELD_OUT_COUNTRIES)


def held_out_pairs(rng: Random, count: int, stage: Stage) -> list[Pair]:
    """About `count` pairs on countries that training never names, told apart from each other and from made-up ones."""
    pairs: list[Pair] = []
    while len(pairs) < count:
        pairs += pairs_about(rng, held_out_subject(rng), stage)
    return pairs
