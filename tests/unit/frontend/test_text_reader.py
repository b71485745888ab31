"""The reader decides as early as it can, and never too early."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.answer_parts import Content, Part
from frontend.text_parser import PlainParser, TextParser
from frontend.text_reader import Steps, Tags


class OneValue(TextParser):
    """Reads one JSON value; the rest is content behind a bar."""

    def _read(self) -> Steps[None]:
        is_whole = yield from self._reader.json_value(self._content)
        self._content("|" if is_whole else "!")
        yield from self._reader.rest(self._content)


def text_of(parts: list[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Content))


def one_value(*deltas: str) -> str:
    parser = OneValue()
    return text_of([part for delta in deltas for part in parser.push(delta)] + parser.finish())


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"a": "}"} x', '{"a": "}"}| x'),
        ('[1, [2], "]\\"]"]]', '[1, [2], "]\\"]"]|]'),
        ('"a\\\\"b', '"a\\\\"|b'),
        ("-1.5e3,", "-1.5e3|,"),
        ("null]", "null|]"),
        ("{", "{!"),
        ('"a\nb\t"', '"a\\nb\\t"|'),
        ("}", "!}"),
        ("", "!"),
    ],
)
def test_one_json_value(text: str, read: str) -> None:
    assert one_value(text) == one_value(*text) == read


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_a_value_ends_where_it_ends(value: object) -> None:
    text = json.dumps(value)
    assert one_value(*f"{text} tail") == f"{text}| tail"


def test_tags_are_held_back_only_as_long_as_they_may_become_one() -> None:
    tags = Tags("<tool>", "[TOOL]")
    assert tags.undecided("a <b <to", 0) == 5
    assert tags.undecided("a <tox", 0) == 6
    assert tags.undecided("<<", 0) == 1
    assert tags.undecided("", 0) == 0
    found = tags.find("x[TOOL]", 0)
    assert found is not None
    assert found[0] == "[TOOL]"


def test_text_without_tags_is_never_held_back() -> None:
    parser = PlainParser()
    assert parser.push("a <think") == [Content("a <think")]
    assert parser.finish() == []
