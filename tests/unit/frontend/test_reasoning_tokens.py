"""How many tokens were thinking."""

import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.reasoning.format import PLAIN, ReasoningFormat
from frontend.reasoning_tokens import num_reasoning_tokens
from frontend.text_parser import PlainParser

TAGS = ReasoningFormat("t", make=lambda opens: PlainParser(), start="<t>", end="</t>")


@pytest.mark.parametrize(
    ("text", "opens", "count"),
    [
        ("hm</t>yes", True, 6),
        ("hm", True, 2),
        ("<t>hm</t>yes", False, 9),
        ("\n<t>hm", False, 6),
        ("yes <t>no</t>", False, 0),
        ("", True, 0),
    ],
)
def test_thinking_with_its_tags(text: str, opens: bool, count: int) -> None:
    assert num_reasoning_tokens(list(text.encode()), ByteTokenizer(), TAGS, opens) == count


def test_a_model_that_does_not_think() -> None:
    assert num_reasoning_tokens(list(b"<t>hm</t>"), ByteTokenizer(), PLAIN, False) == 0
