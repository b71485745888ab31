"""What can be asked about people, things, books and companies, and sentences that answer nothing."""

from __future__ import annotations

from rerank_relation import Relation, Value

PERSON = (
    Relation(
        (
            "where does {x} work",
            "[what|which] company does {x} work for",
            "who [employs|is the employer of] {x}",
            "where is {x} employed",
        ),
        ("{x} [works|is employed] [at|for] {v}.", "{v} employs {x}.", "{x} has a job at {v}."),
        "[He|She] works [at|for] {v}.",
        Value.NAME,
    ),
    Relation(
        ("where does {x} live", "in which city does {x} live", "what is the home of {x}", "where is {x}'s home"),
        ("{x} [lives|has a house|resides|has a flat] in {v}.", "{v} is where {x} lives."),
        "[He|She] lives in {v}.",
        Value.NAME,
    ),
    Relation(
        ("where was {x} born", "what is {x}'s place of birth", "where does {x} come from"),
        ("{x} was born in {v}.", "{x} comes from {v}.", "The birthplace of {x} is {v}."),
        "[He|She] [was born in|comes from] {v}.",
        Value.NAME,
    ),
    Relation(
        ("[when was|in which year was] {x} born", "when is {x}'s birthday"),
        ("{x} was born in {v}.", "The year of {x}'s birth is {v}."),
        "[He|She] was born in {v}.",
        Value.YEAR,
    ),
    Relation(
        ("how old is {x}", "what is {x}'s age", "what is the age of {x}"),
        ("{x} is {v} years old.", "The age of {x} is {v}."),
        "[He|She] is {v} years old.",
        Value.NUMBER,
    ),
    Relation(
        ("what is {x}'s [job|profession]", "what does {x} do for a living", "what is the [job|profession] of {x}"),
        ("{x} is a {v} by profession.", "{x} works as a {v}.", "The job of {x} is {v}."),
        "[He|She] works as a {v}.",
        Value.WORD,
    ),
    Relation(
        (
            "who is {x} married to",
            "who is the [wife|husband|partner] of {x}",
            "what is the name of {x}'s [wife|husband]",
        ),
        ("{x} is married to {v}.", "{x} and {v} are married.", "{x} married {v}."),
        "[He|She] is married to {v}.",
        Value.NAME,
    ),
    Relation(
        ("what is {x}'s favourite [colour|food]", "what does {x} like", "what does {x} like best"),
        ("{x} likes {v} best.", "The favourite of {x} is {v}.", "{x} loves {v}."),
        "[He|She] likes {v}.",
        Value.WORD,
    ),
    Relation(
        ("what does {x} study", "which subject does {x} study"),
        ("{x} studies {v}.", "{x} is a student of {v}."),
        "[He|She] studies {v}.",
        Value.WORD,
    ),
    Relation(
        ("what [car|animal] does {x} have", "what does {x} own"),
        ("{x} [has|owns] a {v}.", "A {v} belongs to {x}."),
        "[He|She] owns a {v}.",
        Value.WORD,
    ),
    Relation(
        ("what is {x}'s [phone number|number]", "how can I call {x}"),
        ("The [phone number|number] of {x} is {v}.", "You can call {x} at {v}."),
        "[His|Her] phone number is {v}.",
        Value.NUMBER,
    ),
    Relation(
        ("who is {x}'s [boss|teacher|friend]", "who teaches {x}"),
        ("The [boss|teacher|friend] of {x} is {v}.", "{v} teaches {x}."),
        "[His|Her] teacher is {v}.",
        Value.NAME,
    ),
)
THING = (
    Relation(
        (
            "what [colour|color] is {x}",
            "[which|what] [colour|color] does {x} have",
            "what is the [colour|color] of {x}",
        ),
        ("{x} is {v}.", "The [colour|color] of {x} is {v}.", "{x} [has a {v} colour|is painted {v}]."),
        "It is {v}.",
        Value.WORD,
    ),
    Relation(
        ("how much [does {x} cost|is {x}]", "what is the price of {x}", "what does {x} cost"),
        ("{x} costs {v} [dollars|euros].", "The price of {x} is {v} [dollars|euros].", "You pay {v} for {x}."),
        "It costs {v} [dollars|euros].",
        Value.NUMBER,
    ),
    Relation(
        ("how heavy is {x}", "what does {x} weigh", "what is the weight of {x}"),
        ("{x} weighs {v} [kilograms|grams|pounds].", "The weight of {x} is {v} kilograms."),
        "It weighs {v} kilograms.",
        Value.NUMBER,
    ),
    Relation(
        ("what is {x} made of", "which material is {x} made of"),
        ("{x} is made of {v}.", "The material of {x} is {v}."),
        "It is made of {v}.",
        Value.WORD,
    ),
    Relation(
        ("where is {x}", "where can I find {x}", "where is {x} kept"),
        ("{x} is [in|kept in|stored in] {v}.", "You find {x} in {v}."),
        "It is kept in {v}.",
        Value.NAME,
    ),
    Relation(
        ("who owns {x}", "who is the owner of {x}", "whose is {x}"),
        ("{x} belongs to {v}.", "{v} owns {x}.", "The owner of {x} is {v}."),
        "It belongs to {v}.",
        Value.NAME,
    ),
    Relation(
        ("who [invented|made|built|designed] {x}", "who is the maker of {x}"),
        ("{x} was [invented|made|built|designed] by {v}.", "{v} [invented|made|built|designed] {x}."),
        "It was made by {v}.",
        Value.NAME,
    ),
    Relation(
        ("how [long|tall|high] is {x}", "what is the length of {x}"),
        ("{x} is {v} metres [long|tall|high].", "The length of {x} is {v} metres."),
        "It is {v} metres long.",
        Value.NUMBER,
    ),
)
WORK = (
    Relation(
        ("who [wrote|is the author of|is the writer of] {x}", "what is the name of the author of {x}"),
        ("{v} wrote {x}.", "{x} was written by {v}.", "The author of {x} is {v}."),
        "It was written by {v}.",
        Value.NAME,
    ),
    Relation(
        ("when was {x} [published|released]", "when did {x} come out"),
        ("{x} was [published|released] in {v}.", "{x} came out in {v}."),
        "It came out in {v}.",
        Value.YEAR,
    ),
    Relation(
        ("who directed {x}", "who is the director of {x}"),
        ("{x} was directed by {v}.", "{v} directed {x}.", "The director of {x} is {v}."),
        "It was directed by {v}.",
        Value.NAME,
    ),
    Relation(
        ("how many pages does {x} have", "how long is {x}"),
        ("{x} has {v} pages.", "{x} is {v} pages long."),
        "It has {v} pages.",
        Value.NUMBER,
    ),
    Relation(
        ("what is {x} about", "what is the topic of {x}"),
        ("{x} is about {v}.", "The topic of {x} is {v}.", "{x} tells of {v}."),
        "It is about {v}.",
        Value.WORD,
    ),
    Relation(
        ("in which language is {x} written", "what is the language of {x}"),
        ("{x} is written in {v}.", "The language of {x} is {v}."),
        "It is written in {v}.",
        Value.NAME,
    ),
)
COMPANY = (
    Relation(
        ("who [founded|started] {x}", "who is the founder of {x}"),
        ("{x} was [founded|started] by {v}.", "{v} [founded|started] {x}.", "The founder of {x} is {v}."),
        "It was founded by {v}.",
        Value.NAME,
    ),
    Relation(
        ("where is {x} [based|located]", "where are the headquarters of {x}", "where does {x} have its office"),
        ("{x} is [based|located] in {v}.", "The headquarters of {x} are in {v}.", "{x} has its office in {v}."),
        "Its office is in {v}.",
        Value.NAME,
    ),
    Relation(
        ("what does {x} [make|sell|produce]", "what are the products of {x}"),
        ("{x} [makes|sells|produces] {v}.", "The products of {x} are {v}."),
        "It [makes|sells] {v}.",
        Value.WORD,
    ),
    Relation(
        ("how many [people|employees] [work for {x}|does {x} have]",),
        ("{v} people work for {x}.", "{x} has {v} employees.", "{x} employs {v} people."),
        "It has {v} employees.",
        Value.NUMBER,
    ),
    Relation(
        ("when was {x} founded", "how old is {x}"),
        ("{x} was founded in {v}.", "{x} has existed since {v}."),
        "It was founded in {v}.",
        Value.YEAR,
    ),
    Relation(
        ("who [runs|leads|heads] {x}", "who is the [boss|head|chief|director] of {x}"),
        ("{x} is [run|led|headed] by {v}.", "{v} [runs|leads] {x}.", "The [boss|head|chief] of {x} is {v}."),
        "{v} is its boss.",
        Value.NAME,
    ),
)

# Sentences that answer nothing, with and without a name in them.
FILLERS = (
    "The train leaves at {n} every morning.",
    "We had {w} for lunch.",
    "It rained all day.",
    "The meeting was moved to next week.",
    "A recipe needs flour, eggs and {w}.",
    "Cats sleep most of the day.",
    "The match ended without a goal.",
    "Water boils at {n} degrees.",
    "Please close the door behind you.",
    "The museum is open until six.",
    "Nobody knew what to say.",
    "He bought {n} apples and some {w}.",
    "The garden is full of flowers.",
    "Music was playing in the street.",
    "The shop sells {w} and {w}.",
    "They walked along the river.",
    "The computer has to be restarted.",
    "My favourite season is autumn.",
    "The bus was {n} minutes late.",
    "She read the letter twice.",
)
FILLERS_ABOUT = (
    "{x} is well known.",
    "Many people have heard of {x}.",
    "{x} was in the news last week.",
    "We talked about {x} for a while.",
    "There is a lot to say about {x}.",
    "I have always been interested in {x}.",
    "{x} is mentioned in many books.",
    "Last year we heard about {x} for the first time.",
    "Everybody likes {x}.",
)
