"""Made-up conversations for tiny-chat: what the user says, and what the model shall answer.

One `Dialogue` grows by exchanges; each function of `EXCHANGES` appends one. The same functions make training and
evaluation conversations: a held-out dialogue draws its phrasings, names and cities from what training never sees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

import phrasings as say
from facts import (
    CITIES,
    COUNTRIES,
    FIRST_NAMES,
    HELD_OUT_CITIES,
    HELD_OUT_FIRST_NAMES,
    Country,
    made_up_name,
    made_up_place,
)
from phrasings import draw_phrasing, dress, split_phrasings
from tool_texts import other_tool, weather_report, weather_tool

_CAPITAL = split_phrasings(say.CAPITAL)
_LANGUAGE = split_phrasings(say.LANGUAGE)
_COUNTRY_OF_CAPITAL = split_phrasings(say.COUNTRY_OF_CAPITAL)
_ADDITION = split_phrasings(say.ADDITION)
_TELL_NAME = split_phrasings(say.TELL_NAME)
_ASK_NAME = split_phrasings(say.ASK_NAME)
_WEATHER = split_phrasings(say.WEATHER)
_UNKNOWN = split_phrasings(say.UNKNOWN)
_SMALL_TALK = (
    (split_phrasings(say.GREETING), "Hello! How can I help you?"),
    (split_phrasings(say.THANKS), "You are welcome!"),
    (split_phrasings(say.GOODBYE), "Goodbye!"),
    (split_phrasings(say.HOW_ARE_YOU), "I am fine, thank you. How can I help you?"),
    (split_phrasings(say.WHO_ARE_YOU), "I am tiny-chat, a small model that ships with zerolane."),
)
_FOLLOW_UPS = (
    "And of {x}?",
    "And {x}?",
    "What about {x}?",
    "How about {x}?",
    "and {x}",
    "And for {x}?",
    "And in {x}?",
    "what about {x}",
    "And what about {x}?",
)
_SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You are a friendly assistant.",
    "You are tiny-chat.",
    "You are a small model.",
    "Answer in one sentence.",
    "Be brief.",
    "You are a helpful AI assistant.",
    "You are an assistant that answers questions.",
    "Answer the user's questions.",
    "You are a helpful assistant. Use the tools if you need them.",
    "Be polite and helpful.",
    "You help people with questions about countries.",
    "Today is a good day. You are a helpful bot.",
)
_HELD_OUT_SYSTEM_PROMPTS = ("You are a brief and friendly assistant.", "Be a helpful bot. Answer in one sentence.")

LARGEST_SMALL = 20  # numbers up to this one are what is asked for in the evaluation
LARGEST_ADDEND = 50  # larger ones are trained too, less often


@dataclass
class Dialogue:
    """A conversation in the making. `held_out`: phrasings that training never sees; `new_names`: names and cities too.
    The rest is what was said so far."""

    rng: Random
    held_out: bool = False
    new_names: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    name: str | None = None
    has_weather: bool = False
    last_topic: str | None = None  # "capital" or "language": what "And Spain?" would ask about

    def open(self, weather: bool) -> None:
        """Decide on the system prompt and the tools, which hold for the whole conversation."""
        rng = self.rng
        if rng.random() < 0.4:
            prompts = _HELD_OUT_SYSTEM_PROMPTS if self.held_out else _SYSTEM_PROMPTS
            self.messages.append({"role": "system", "content": rng.choice(prompts)})
        if weather:
            self.has_weather = True
            self.tools.append(weather_tool(rng, self.held_out))
        if rng.random() < (0.2 if weather else 0.03):
            self.tools.insert(rng.randrange(len(self.tools) + 1), other_tool(rng))

    def exchange(self, question: str, answer: str) -> None:
        """One thing said by the user, and the answer to it."""
        self.messages.append({"role": "user", "content": question})
        self.messages.append({"role": "assistant", "content": answer})

    def ask(self, groups: list[say.Phrasings], **slots: Any) -> str:
        """A question of one of the groups, its slots filled in."""
        return dress(self.rng, draw_phrasing(self.rng, groups, self.held_out).format(**slots), question=True)

    def country_slots(self, country: Country) -> dict[str, str]:
        """How the question names the country: mostly as it is written, now and then in a hurry."""
        name = country.bare_name if self.rng.random() < 0.2 else country.name
        if self.rng.random() < 0.2:
            name = name.lower()
        return {
            "x": name,
            "xs": name + ("'" if name.endswith("s") else "'s") if self.rng.random() < 0.5 else name + "'s",
        }


def capital_answer(country: Country) -> str:
    """What tiny-chat answers when asked for a capital."""
    return f"The capital of {country.name} is {country.capital}."


def language_answer(country: Country) -> str:
    """What tiny-chat answers when asked for a language."""
    return f"People in {country.name} speak {country.language}."


def capital(talk: Dialogue) -> None:
    """Ask for a capital; after another such question perhaps only by "And of Spain?"."""
    country = talk.rng.choice(COUNTRIES)
    if talk.last_topic == "capital" and talk.rng.random() < 0.4:
        question = talk.rng.choice(_FOLLOW_UPS).format(x=country.name)
    else:
        question = talk.ask(_CAPITAL, **talk.country_slots(country))
    talk.exchange(question, capital_answer(country))
    talk.last_topic = "capital"


def language(talk: Dialogue) -> None:
    """Ask for the language of a country."""
    country = talk.rng.choice(COUNTRIES)
    if talk.last_topic == "language" and talk.rng.random() < 0.4:
        question = talk.rng.choice(_FOLLOW_UPS).format(x=country.name)
    else:
        question = talk.ask(_LANGUAGE, **talk.country_slots(country))
    talk.exchange(question, language_answer(country))
    talk.last_topic = "language"


def country_of_capital(talk: Dialogue) -> None:
    """Ask the other way round: whose capital is this?"""
    country = talk.rng.choice(COUNTRIES)
    talk.exchange(
        talk.ask(_COUNTRY_OF_CAPITAL, x=country.capital), f"{country.capital} is the capital of {country.name}."
    )
    talk.last_topic = None


def addition(talk: Dialogue) -> None:
    """Ask for a sum."""
    rng = talk.rng
    largest = LARGEST_SMALL if talk.held_out or rng.random() < 0.8 else LARGEST_ADDEND
    a, b = rng.randint(0, largest), rng.randint(0, largest)
    talk.exchange(talk.ask(_ADDITION, a=a, b=b), f"{a} + {b} = {a + b}.")
    talk.last_topic = None


def draw_name(talk: Dialogue) -> str:
    """A common first name; with `new_names` one that training never uses."""
    rng = talk.rng
    if talk.new_names:
        return made_up_name(rng) if rng.random() < 0.5 else rng.choice(HELD_OUT_FIRST_NAMES)
    return rng.choice(FIRST_NAMES)


def tell_name(talk: Dialogue) -> None:
    """Say one's name, perhaps together with a first question."""
    rng = talk.rng
    talk.name = draw_name(talk)
    statement = dress(rng, draw_phrasing(rng, _TELL_NAME, talk.held_out).format(x=talk.name), question=False)
    welcome = f"Nice to meet you, {talk.name}!"
    if not talk.held_out and rng.random() < 0.1:
        country = rng.choice(COUNTRIES)
        question = talk.ask(_CAPITAL, **talk.country_slots(country))
        talk.exchange(
            f"{statement.rstrip('!.')}. {question[0].upper()}{question[1:]}", f"{welcome} {capital_answer(country)}"
        )
    else:
        talk.exchange(statement, welcome)
    talk.last_topic = None


def ask_name(talk: Dialogue) -> None:
    """Ask for the name told before; there may have been none."""
    answer = f"Your name is {talk.name}." if talk.name else "I don't know your name yet."
    talk.exchange(talk.ask(_ASK_NAME), answer)
    talk.last_topic = None


def small_talk(talk: Dialogue) -> None:
    """A greeting, thanks, a goodbye, or a question about the model itself."""
    groups, answer = talk.rng.choices(_SMALL_TALK, weights=(3, 2, 1, 1, 3))[0]
    text = draw_phrasing(talk.rng, groups, talk.held_out)
    text = text[0].upper() + text[1:] if talk.rng.random() < 0.6 else text
    talk.exchange(text + talk.rng.choice(("", "!", ".", "?") if answer[0] != "I" else ("?", "?", "", ".")), answer)
    talk.last_topic = None


def unknown(talk: Dialogue) -> None:
    """A question beyond a tiny model, or one about a country that does not exist."""
    rng = talk.rng
    if rng.random() < 0.3:
        place = made_up_place(rng)
        question = talk.ask(rng.choice((_CAPITAL, _LANGUAGE)), x=place, xs=f"{place}'s")
    else:
        country = rng.choice(COUNTRIES)
        question = talk.ask(_UNKNOWN, x=country.name, a=rng.randint(0, 20), b=rng.randint(1, 20))
    talk.exchange(question, "I don't know that.")
    talk.last_topic = None


def draw_city(talk: Dialogue) -> str:
    """A city: a capital or another large one, now and then made up; with `new_names` one that training never uses."""
    rng = talk.rng
    if talk.new_names:
        return rng.choice((made_up_place(rng), rng.choice(HELD_OUT_CITIES)))
    if not talk.held_out and rng.random() < 0.05:
        return made_up_place(rng)
    return rng.choice(CITIES) if rng.random() < 0.5 else rng.choice(COUNTRIES).capital


def weather(talk: Dialogue) -> None:
    """Ask for the weather: a tool call, the tool's answer and a sentence about it; without the tool an apology."""
    rng = talk.rng
    city = draw_city(talk)
    lowered = (
        not talk.held_out
        and (city in CITIES or any(city == country.capital for country in COUNTRIES))
        and rng.random() < 0.15
    )
    question = talk.ask(_WEATHER, x=city.lower() if lowered else city)
    talk.last_topic = None
    if not talk.has_weather:
        talk.exchange(question, "I cannot look up the weather.")
        return
    call = {"name": "get_weather", "arguments": json.dumps({"city": city})}
    report, sentence = weather_report(rng, city)
    talk.messages += [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "call_1", "content": report},
        {"role": "assistant", "content": sentence},
    ]


EXCHANGES = (
    (capital, 11),
    (language, 10),
    (country_of_capital, 4),
    (addition, 14),
    (tell_name, 20),
    (ask_name, 22),
    (small_talk, 6),
    (unknown, 8),
    (weather, 4),
)


def training_dialogue(rng: Random) -> Dialogue:
    """A whole conversation to train with, of one to six exchanges."""
    talk = Dialogue(rng)
    talk.open(weather=rng.random() < 0.22)
    kinds = [kind for kind, _ in EXCHANGES]
    weights = [weight * (8 if kind is weather and talk.has_weather else 1) for kind, weight in EXCHANGES]
    for _ in range(rng.choices((1, 2, 3, 4, 5, 6), weights=(20, 22, 22, 16, 12, 8))[0]):
        rng.choices(kinds, weights)[0](talk)
    return talk
