"""Calls come out whole, text before them streams, half a tag never shows."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from frontend.parse_tool_calls import Piece, ToolCall, ToolCallParser

CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


def parse(*deltas: str) -> list[str | tuple[str, str]]:
    """Pieces with neighbouring texts joined; a call as (name, arguments)."""
    parser = ToolCallParser()
    pieces: list[Piece] = [piece for delta in deltas for piece in parser.push(delta)] + parser.finish()
    joined: list[str | tuple[str, str]] = []
    for piece in pieces:
        if isinstance(piece, ToolCall):
            joined.append((piece.name, piece.arguments))
        elif joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def test_a_call() -> None:
    assert parse(CALL) == [("f", '{"x":1}')]


def test_text_then_two_calls() -> None:
    assert parse(f"I look.\n{CALL}\n{CALL}\n") == ["I look.\n", ("f", '{"x":1}'), ("f", '{"x":1}')]


def test_text_streams_until_a_tag_may_begin() -> None:
    parser = ToolCallParser()
    assert parser.push("a <b> <tool") == ["a <b> "]
    assert parser.push("box>") == ["<toolbox>"]


def test_what_is_no_call_is_text() -> None:
    for text in (
        "<tool_call>not json</tool_call>",
        '<tool_call>{"arguments": {}}</tool_call>',
        "<tool_call>[1]</tool_call> tail",
        '<tool_call>{"name": "f", "argu',
        "</tool_call>",
        "<tool_cal",
    ):
        assert parse(text) == [text]


def test_a_last_call_without_its_closing_tag_counts() -> None:
    assert parse('<tool_call>{"name": "f", "arguments": {}}') == [("f", "{}")]


def test_no_arguments_are_an_empty_object() -> None:
    for call in ('{"name": "f"}', '{"name": "f", "arguments": null}', '{"name": "f", "parameters": null}'):
        assert parse(f"<tool_call>{call}</tool_call>") == [("f", "{}")]


def test_arguments_as_text_stay_as_they_are() -> None:
    call = json.dumps({"name": "f", "arguments": '{"a": 1}'})
    assert parse(f"<tool_call>{call}</tool_call>") == [("f", '{"a": 1}')]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["x", "\n", CALL, "<tool_call>", "</tool_call>", "<", "{}"]), max_size=6), st.data())
def test_any_division_gives_the_same(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert parse(*deltas) == parse(text)
