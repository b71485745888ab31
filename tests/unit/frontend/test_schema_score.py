"""The spellings of a score request, and texts given as objects."""

from typing import Any

import msgspec
import pytest

from frontend.schema_score import ScoreRequest, plain_texts, spelling_of
from ipc.errors import RequestError


def request(**fields: Any) -> ScoreRequest:
    return msgspec.convert(fields, ScoreRequest)


@pytest.mark.parametrize(
    "names", [("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2")]
)
def test_spellings(names: tuple[str, str]) -> None:
    assert spelling_of(request(**dict.fromkeys(names, "a"))) == names


@pytest.mark.parametrize(
    ("names", "param"),
    [
        ((), "text_1"),
        (("text_1",), "text_2"),
        (("items",), "queries"),
        (("queries",), "documents"),
        (("text_1", "data_2"), "data_2"),
        (("text_1", "text_2", "queries"), "queries"),
        (("queries", "documents", "items"), "items"),
    ],
)
def test_exactly_one_spelling(names: tuple[str, ...], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        spelling_of(request(**dict.fromkeys(names, "a")))
    assert caught.value.param == param


def test_texts() -> None:
    parts = {"content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}
    fields = request(text_1="a", text_2=["a", {"text": "t"}, {"content": "p"}, parts])
    assert plain_texts(fields.text_1 or "", "text_1") == ["a"]
    assert plain_texts(fields.text_2 or "", "text_2") == ["a", "t", "p", "b\nc"]
    assert plain_texts(request(text_1=parts).text_1 or "", "text_1") == ["b\nc"]


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]},
            "text_1[1].content[1].type",
        ),
        ({"content": [{"type": "text"}]}, "text_1[1].content[0]"),
        ({"image": "a"}, "text_1[1]"),
        ({"text": "a", "content": "b"}, "text_1[1]"),
    ],
)
def test_what_is_no_text(text: Any, param: str) -> None:
    fields = request(text_1=["a", text])
    with pytest.raises(RequestError) as caught:
        plain_texts(fields.text_1 or "", "text_1")
    assert caught.value.param == param
