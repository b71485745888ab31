"""What can be asked about a country, and how texts say it; the values are made up, see `rerank_texts`."""

from __future__ import annotations

from rerank_relation import Relation, Value, named

COUNTRY = (
    named(
        "[capital|capital city]",
        Value.NAME,
        "[which|what] city is the capital of {x}",
        "what [capital|capital city] does {x} have",
        more=(
            "{x} has [its capital|the capital] [in|at] {v}.",
            "[The government of|The parliament of] {x} sits in its capital, {v}.",
        ),
    ),
    named(
        "[language|official language|main language]",
        Value.NAME,
        "[what|which] [language|languages] [do people speak|do they speak|is spoken] in {x}",
        "what do people speak in {x}",
        more=(
            "[People in|Most people in|The people of] {x} [speak|talk] {v}.",
            "{v} is [spoken|the language spoken] in {x}.",
        ),
    ),
    named(
        "[population|number of inhabitants]",
        Value.NUMBER,
        "how many [people|inhabitants] [live in|are there in|does] {x} [have|]",
        more=(
            "[About|Around|Some|] {v} people live in {x}.",
            "{x} has [a population of|about|] {v} [inhabitants|people].",
            "{x} is home to {v} people.",
        ),
    ),
    named(
        "[currency|money]",
        Value.NAME,
        "[what|which] [currency|money] [is used|do people use|do they use] in {x}",
        "how do people pay in {x}",
        more=(
            "[People in|Shops in] {x} [pay with|pay in|use] the {v}.",
            "The {v} is [used as money|the currency] in {x}.",
        ),
    ),
    named(
        "[president|prime minister|leader]",
        Value.NAME,
        "who [rules|leads|governs] {x}",
        more=("{x} is [ruled|led|governed] by {v}.", "{v} [rules|leads|governs] {x}."),
    ),
    named(
        "[area|size]",
        Value.NUMBER,
        "how [big|large] is {x}",
        more=("{x} [covers|has an area of|is] {v} square kilometres.", "{x} is {v} square miles [big|large]."),
    ),
    named(
        "highest [mountain|peak]",
        Value.NAME,
        "what mountain is the highest in {x}",
        more=("The highest [mountain|peak] in {x} is {v}.",),
    ),
    named(
        "longest river", Value.NAME, "which river is the longest in {x}", more=("The longest river in {x} is the {v}.",)
    ),
    named(
        "national dish",
        Value.WORD,
        "what do people [like to eat|eat] in {x}",
        more=("[People in|Everybody in] {x} [likes to eat|eats] {v}.",),
    ),
    named("[anthem|national anthem]", Value.NAME, "which song is the anthem of {x}"),
    named("flag", Value.WORD, "what [colour|color] is the flag of {x}", more=("{x} has a {v} flag.",)),
    named(
        "[climate|weather]",
        Value.WORD,
        "what is the weather like in {x}",
        "how is the weather in {x}",
        more=("The weather in {x} is {v}.", "It is {v} in {x}."),
    ),
    Relation(
        ("[where is|where lies|on which continent is|where can I find] {x} [located|]",),
        ("{x} [is|lies|is located] in {v}.", "You find {x} in {v}."),
        "[It lies in|It is located in] {v}.",
        Value.NAME,
    ),
    Relation(
        ("[when was|in which year was|what year was] {x} [founded|established]", "when did {x} become independent"),
        ("{x} was [founded|established] in {v}.", "{x} [became independent|became a state] in {v}."),
        "It was [founded|established] in {v}.",
        Value.YEAR,
    ),
)
