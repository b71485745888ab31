"""The many ways people put the questions that tiny-chat answers, and which of them are kept out of training.

A pattern such as "[what is|tell me] the capital of {x}" stands for every choice of its brackets. About one phrasing
in nine is held out: the choice hangs on the phrasing's own text alone, so training and evaluation agree on it without
sharing a list.
"""

from __future__ import annotations

import re
import zlib
from random import Random
from typing import NamedTuple

_ASK_FOR = (
    "what is|what's|whats|tell me|please tell me|name|give me|can you tell me|could you tell me|"
    "would you tell me|do you know|"
    "do you happen to know|I want to know|I would like to know|I'd like to know|I need to know|say|"
    "remind me of|can you name|could you name"
)
_ASK_WHAT = (
    "can you tell me |could you tell me |please tell me |do you know |tell me |I want to know |"
    "I would like to know |I'd like to know |"
    "I wonder |do you happen to know |"
)

CAPITAL = (
    f"[{_ASK_FOR}|which city is|what city is|which is|what would be|how is called] the [capital|capital city|"
    f"capital town] of {{x}}",
    f"[{_ASK_FOR}|which city is|what city is|which is|what would be] {{xs}} [capital|capital city]",
    f"[{_ASK_WHAT}][what|which city] the [capital|capital city] of {{x}} is",
    f"[{_ASK_WHAT}][what|which city] {{xs}} [capital|capital city] is",
    f"[{_ASK_WHAT}][which|what] city is [the|the real|the official] [capital|capital city] [of|in] {{x}}",
    f"[{_ASK_WHAT}]what is the name of [the capital of {{x}}|the capital city of {{x}}|the capital in {{x}}|"
    f"{{xs}} capital|{{xs}} capital city] ",
    "what [capital|capital city] does {x} have",
    "[which|what] [city|town] [serves as|is used as|acts as] [the capital|the capital city] of {x}",
    "[the |][capital|capital city] of {x}[| is| =|:]",
    "{x}[, capital|: capital| capital| capital city|'s capital|'s capital is]",
    "[in|for] {x}, [what is|what's|which city is] the [capital|capital city]",
    "[what is|what's] the [capital|capital city] [in|for] {x}",
    "what [is the capital|is the capital city|do people call the capital|do you call the capital] [of|in] {x}[|"
    " called]",
    "what [is|'s] the capital of [the country|a country called|the country called|the land of] {x}",
    "{x} has [which|what] [capital|capital city]",
    "[I forgot|I don't know|I do not know|I can't remember] the [capital|capital city] of {x}",
)
LANGUAGE = (
    f"[{_ASK_WHAT}][what|which] [language|languages|language or languages] [do people speak|do they speak|"
    "do people talk|do you speak|"
    "does one speak|do the people speak|do most people speak|do locals speak|is spoken|are spoken|is used|"
    "are used] in {x}",
    f"[{_ASK_WHAT}][what|which] [language|languages] [people speak|they speak|people talk|one speaks|"
    f"most people speak|is spoken] in {{x}}",
    f"[{_ASK_FOR}] the [language|main language|official language|official languages|national language|"
    f"languages] [of|in|spoken in] {{x}}",
    f"[{_ASK_FOR}] {{xs}} [language|main language|official language|official languages|national language]",
    "in {x}, [what|which] [language|languages] [do people speak|do they speak|is spoken|are spoken]",
    "[what do people speak|what do they speak|what is spoken|how do people talk] in {x}",
    "[the |][language|languages|official language|main language] [of|in|spoken in] {x}",
    "{x}[: language|, language| language| official language|'s language|'s official language]",
    "[people in|the people of|people from|those who live in] {x} speak [what|which language|what language]",
    "what [language|languages] does {x} [have|speak|use]",
    "[if I go to|when I travel to|if I visit|when I visit|I am going to|I travel to] {x}, [what|"
    "which] language [do people speak|should I learn|will I hear|"
    "do I need|is spoken]",
)
COUNTRY_OF_CAPITAL = (
    "{x} is the [capital|capital city] of [which|what] [country|state|nation]",
    f"[{_ASK_WHAT}][which|what] country has {{x}} as its [capital|capital city]",
    "[which|what] country's [capital|capital city] is {x}",
    "of [which|what] [country|nation] is {x} the [capital|capital city]",
    "[what|which] country is {x} the [capital|capital city] of",
)
ADDITION = (
    "[what is|what's|whats|how much is|tell me|please tell me|can you tell me|could you tell me|calculate|"
    "compute|work out|do you know|find|give me|solve|"
    "I want to know|I need to know|can you calculate|could you compute|what does give|please calculate|"
    "] {a} [+|plus|and|added to] {b}",
    "[what is|what's|how much is|tell me|calculate|compute|find|give me|can you tell me|could you tell me|"
    "please tell me|do you know|I need] "
    "the [sum|sum total|total|result] of {a} [and|plus|+] {b}",
    "[add|please add|can you add|could you add|sum|sum up|add up|let's add|let us add|now add|I want to add|"
    "I need to add|you add|take and add] {a} [and|to|plus|with] {b}",
    "{a}+{b}[|=|= ?]",
    "{a} + {b} [=|= ?|is|equals|makes|gives|is what|makes what|equals what|gives what|is how much|makes how much]",
    "{a} plus {b} [is|equals|makes|gives|is what|makes what|equals what|gives what|is how much|makes how much]",
    "[what do|how much do] {a} [and|plus] {b} [make|give|add up to|equal|come to]",
    "what [do you get|do I get|comes out|happens] [if|when] [you|I|we] add {a} [and|to|plus] {b}",
    "[I have|there are|Tom has|we have|she has|I had] {a} [apples|eggs|books|coins|cars|cats] and [get|buy|"
    "find|add] {b} more, how many [is that|are there|now|in all|do we have]",
)
TELL_NAME = (
    "[my name is|my name's|I am|I'm|call me|you can call me|please call me|people call me|my friends call me|"
    "everybody calls me|I am called|I'm called|"
    "the name is|the name's|this is|my first name is|they call me|I go by|it's|my parents named me|"
    "just call me|I was named|you may call me|"
    "I want to be called|I'd like to be called|remember, my name is|remember that my name is|"
    "note that my name is|let me introduce myself, I am|"
    "let me introduce myself: my name is|may I introduce myself? I am|good to meet you, I am|"
    "nice to meet you, I'm|nice to meet you, my name is] {x}",
    "{x} [is my name|is what people call me|is my first name|is how people call me|is what my friends call me|here]",
    "I [introduce|would like to introduce] myself, [I am|I'm|my name is] {x}",
    "[as you know, |you know, |well, |by the way, |just so you know, |oh, ][my name is|I am|I'm|I am called|"
    "people call me] {x}",
)
ASK_NAME = (
    f"[{_ASK_FOR}|what was|which is] my [name|first name]",
    f"[{_ASK_WHAT}][what my name is|what my first name is|what I am called|what people call me|who I am|"
    "what my name was|how I am called]",
    "[who am I|what am I called|how am I called|what do people call me|what do you call me|how do you call me|"
    "what should you call me]",
    "[do you remember|can you remember|you remember|remember|do you recall|do you still know|"
    "have you forgotten|did you forget|can you repeat|repeat|"
    "do you still remember] [my name|my first name|who I am|what I am called|what my name is]",
    "what [did I say|did I tell you|have I told you|did I say that] [my name was|my name is|I am called]",
    "[which|what] name did I [give you|tell you|say|give|use|mention]",
    "what is the name I [gave you|told you|said|mentioned|gave]",
)
WEATHER = (
    "[what is|what's|how is|how's|tell me|give me|please tell me|can you tell me|could you tell me|do you know|"
    "I want to know|I'd like to know|check|look up|"
    "can you check|could you check|please check|please look up|show me|I need|how about|can you look up|find out|] the "
    "[weather|current weather|weather report|weather forecast|forecast|temperature|current temperature] [in|"
    "for|over in|at] {x}[| today| now| right now| at the moment| outside]",
    "[what is|what's] the weather like in {x}[| today| now| right now| at the moment| currently]",
    f"[{_ASK_WHAT}][what the weather is|how the weather is|what the weather is like|how warm it is|"
    f"how cold it is|if it is raining|if it rains] in {{x}}[| today| now| right now]",
    "[is it|will it be|is it going to be] [sunny|cloudy|rainy|warm|cold|hot|windy|wet|dry|nice|foggy] in {x}[|"
    " today| now| right now]",
    "[is it raining|is it snowing|does it rain|does it snow|will it rain|will it snow|is the sun shining|"
    "does the sun shine] in {x}[| today| now| right now]",
    "how [warm|cold|hot|windy] [is it|will it be|does it get] in {x}[| today| now| right now]",
    "[do I need|should I take|will I need] [an umbrella|a coat|a jacket|a hat] in {x}[| today| now]",
    "[weather|forecast|temperature|current weather] [in|for|] {x}[| today| now]",
    "{x} [weather|forecast|temperature|weather today|weather now]",
    "[how many degrees|what temperature] [is it|does it have|do they have] in {x}[| today| now]",
    "I [am|am going|travel|will travel|fly] to {x}, [what is|what's|how is|how's] the weather[| there| like]",
)
GREETING = (
    "[hi|hello|hey|hi there|hello there|hey there|good morning|good evening|good afternoon|good day|greetings|"
    "hi again|hello again|hallo|hiya]"
    "[| tiny-chat| friend| my friend| everyone| to you]",
)
THANKS = (
    "[thanks|thank you|many thanks|thanks a lot|thank you very much|thank you so much|thanks so much|"
    "thanks for that|thank you for that|thx|"
    "great, thanks|ok, thanks|perfect, thank you|good, thank you|nice, thanks|cool, thanks|"
    "that helps, thanks][| for your help| again| for the answer| a lot]",
)
GOODBYE = (
    "[bye|goodbye|good bye|bye bye|see you|see you later|good night|ok, bye|farewell][| for now| then|"
    " my friend| and thanks]",
)
HOW_ARE_YOU = (
    "[how are you|how are you doing|how do you do|how is it going|how's it going|are you well|are you fine|"
    "are you ok|how do you feel]"
    "[| today| now| my friend]",
)
WHO_ARE_YOU = (
    "[who are you|what are you|what is your name|what's your name|tell me your name|tell me who you are|"
    "tell me what you are|who am I talking to|"
    "who is this|introduce yourself|are you a model|are you a bot|are you a robot|which model are you|"
    "what model are you|what model is this|"
    "what should I call you|do you have a name|are you a human|are you an AI|who is speaking|"
    "can you tell me who you are|can you introduce yourself]"
    "[| please| exactly| really| then]",
)
_SUBJECTS = (
    "my car|the sun|my dog|the moon|a whale|this song|chess|football|Hamlet|the piano|a good poem|"
    "quantum physics|my sister|"
    "your mother|the internet|the war|the stock market|a computer|my lunch|love|life|the universe|black holes|"
    "cheese|the game|a tree|gravity|time"
)
UNKNOWN = (
    "[what is|what's|how big is|who invented|who wrote|who made|how old is|why is there|how does one make|"
    "when was|how long is|explain|what do you think of|"
    "tell me about|what colour is|how fast is|write a story about|where can I find|tell me a joke about|"
    "how much does it cost to buy|what happened to] "
    f"[{_SUBJECTS}]",
    "[what is|what's|tell me|how big is|do you know|can you tell me] the [population|currency|area|president|"
    "king|flag|anthem|food|history|highest mountain|longest river] of {x}",
    "[how many people live in|how big is|how old is|who is the president of|who rules|where is|how do I get to|"
    "what do people eat in|what is the money in] {x}",
    "[what is|what's|how much is|calculate] {a} [-|minus|times|*|divided by|/] {b}",
    "[write|sing|tell me|give me|make up] [a poem|a song|a story|a joke|some code|a recipe|an essay|a letter]",
    "[who won|who lost|when was|where was] [the match|the race|the election|the war|the world cup|the final]",
    "[what time is it|what day is it|what is the date|when is Easter|what is the news|where am I|"
    "where do I live|how old am I|what is my age|what is my job]",
)

_PREFIXES = (
    "Hi, |Hello, |Hello! |Hi! |Hey, |Please, |Quick question: |A question: |So, |Ok, |Okay, |Now, |Well, |And |"
    "One more question: |I have a question: |"
    "I have another question. |Excuse me, |Sorry, |Thanks! |Great. |Tell me, |Say, |Hmm, |By the way, |"
    "Next question: |Just checking: |Good morning! |"
    "Good. |Nice. |Dear assistant, "
).split("|")
_SUFFIXES = (
    " please|, please| then| again| for me| by the way| exactly|, do you know|, thanks| actually|"
    ", my friend| now|, can you tell me"
).split("|")


class Phrasings(NamedTuple):
    """The phrasings of one question: those to train with, and those that only the evaluation uses."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]


def expand(pattern: str) -> list[str]:
    """Every phrasing that a bracketed pattern stands for, its spaces tidied; brackets may hold brackets."""
    texts = {pattern}
    while any("[" in text for text in texts):
        texts = {choice for text in texts for choice in _expand_innermost(text)}
    return sorted({" ".join(text.split()) for text in texts})


def _expand_innermost(text: str) -> list[str]:
    bracket = re.search(r"\[([^\[\]]*)\]", text)
    if bracket is None:
        return [text]
    return [text[: bracket.start()] + choice + text[bracket.end() :] for choice in bracket[1].split("|")]


def is_held_out(text: str) -> bool:
    """Whether a phrasing belongs to the evaluation alone."""
    return zlib.crc32(text.encode()) % 9 == 0


def split_phrasings(patterns: tuple[str, ...]) -> list[Phrasings]:
    """One group a pattern, so that drawing a group first gives rare patterns the same weight as those of many
    choices."""
    groups = []
    for pattern in patterns:
        texts = expand(pattern)
        held_out = tuple(text for text in texts if is_held_out(text))
        groups.append(Phrasings(tuple(text for text in texts if not is_held_out(text)), held_out))
    return groups


def draw_phrasing(rng: Random, groups: list[Phrasings], held_out: bool) -> str:
    """A phrasing of the wanted side; patterns with many choices are drawn a little more often than those with few."""
    sides = [group.held_out if held_out else group.train for group in groups]
    sides = [side for side in sides if side]
    side = rng.choices(sides, weights=[len(side) ** 0.4 for side in sides])[0]
    return rng.choice(side)


def dress(rng: Random, text: str, question: bool) -> str:
    """The phrasing as somebody types it: with a word before or after it, a capital or not, a mark at the end or not."""
    if rng.random() < 0.25:
        prefix = rng.choice(_PREFIXES)
        text = prefix + text
    if rng.random() < 0.15:
        text += rng.choice(_SUFFIXES)
    if rng.random() < 0.7:
        text = text[0].upper() + text[1:]
    if text.endswith(("?", "=")):
        return text
    marks = ("?", "?", "?", "?", "", "", ".", "??", " ?", "!") if question else (".", ".", ".", "!", "", "")
    return text + rng.choice(marks)
