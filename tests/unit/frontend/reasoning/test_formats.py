"""Each form of thinking: what is thinking and what is content, however the text is divided."""

import pytest

from frontend.answer_formats import known_formats
from frontend.text_parser import TextParser
from tests.support.read_answer import THINKING, Found, MakeParser, read_in_every_way


def parser_of(name: str, opens: bool = False) -> MakeParser:
    known = known_formats("").reasoning[name]
    return lambda: known.make(opens)


def thinking(text: str) -> Found:
    return (THINKING, text)


CASES: list[tuple[str, bool, str, list[Found]]] = [
    ("think", False, "<think>\nHm.\n\nYes.\n</think>\n\nAnswer\n", [thinking("Hm.\n\nYes."), "Answer\n"]),
    ("think", False, "\n<think></think>A", ["A"]),
    ("think", False, "No thinking </think> here", ["No thinking </think> here"]),
    ("think", False, "Later <think>x</think>", ["Later <think>x</think>"]),
    ("think", False, "<thin", ["<thin"]),
    ("think", True, "Hm.</think>A</think>", [thinking("Hm."), "A</think>"]),
    ("think", True, "<think>Hm.</think>A", [thinking("Hm."), "A"]),
    ("think", True, " \n Hm. </th", [thinking(" \n Hm. </th")]),
    ("think", True, "cut short\n\n", [thinking("cut short")]),
    ("think", True, "</think>\n\nA", ["A"]),
    ("think", False, "", []),
    ("mistral", False, "[THINK]a[/THINK]b", [thinking("a"), "b"]),
    ("seed_oss", False, "<seed:think>a</seed:think>b", [thinking("a"), "b"]),
    (
        "granite",
        False,
        "Here is my thought process:\nSo.\nHere is my response:\nHi",
        [thinking("So."), "Hi"],
    ),
    ("granite", False, "Here's my thought process: So. Here's my response: Hi", [thinking(" So. "), " Hi"]),
    ("granite", False, "Here is my cat", ["Here is my cat"]),
    (
        "harmony",
        False,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>",
        [thinking("Hm."), "Hi"],
    ),
    (
        "harmony",
        False,
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f "
        '<|constrain|>json<|message|>{"x": "<|end|>"}<|call|>',
        [thinking("Hm."), ("f", '{"x": "<|end|>"}')],
    ),
    ("harmony", False, ' to=functions.f<|channel|>commentary json<|message|>{"x": 1}', [("f", '{"x": 1}')]),
    (
        "harmony",
        False,
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.f<|channel|>commentary"
        "<|message|><|call|>",
        ["I look.", ("f", "{}")],
    ),
    ("harmony", False, '[{"name": "f"}]', ['[{"name": "f"}]']),
    ("harmony", False, "<|channel|>anal", []),
    ("harmony", True, "Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi", [thinking("Hm."), "Hi"]),
]


@pytest.mark.parametrize(("name", "opens", "text", "found"), CASES)
def test_every_division_gives_this(name: str, opens: bool, text: str, found: list[Found]) -> None:
    assert read_in_every_way(parser_of(name, opens), text) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("think", "\n" * 300_000 + "</think"),
        ("think", "<" * 300_000),
        ("granite", "Here is my response" * 20_000),
        ("harmony", "<|channel|>" + "x" * 300_000),
        ("harmony", "<|channel|><|message|>" * 10_000),
    ],
    ids=range(5),
)
def test_hostile_texts_are_not_held(name: str, text: str) -> None:
    parser = parser_of(name, True)()
    assert isinstance(parser, TextParser)
    for at in range(0, len(text), 997):
        parser.push(text[at : at + 997])
        assert parser.num_held <= 64
    parser.finish()


@pytest.mark.parametrize(
    ("name", "prompt", "is_open"),
    [
        ("think", "<|im_start|>assistant\n<think>\n", True),
        ("think", "<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("think", "<|im_start|>assistant\n", False),
        ("mistral", "[/INST][THINK]", True),
        ("harmony", "<|start|>assistant", False),
        ("granite", "", False),
    ],
)
def test_where_a_prompt_ends(name: str, prompt: str, is_open: bool) -> None:
    assert known_formats("").reasoning[name].is_open_after(prompt) == is_open
