"""How many tokens were thinking."""

import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.harmony import HARMONY
from frontend.reasoning.format import PLAIN, ReasoningFormat
from frontend.reasoning.granite import GRANITE
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


@pytest.mark.parametrize(
    ("text", "opens", "count"),
    [
        (
            "<|channel|>analysis<|message|>hmm<|end|><|start|>assistant<|channel|>final<|message|>yes<|return|>",
            False,
            3,
        ),
        ("<|channel|>analysis<|message|>hé", False, 3),
        ("a<|end|><|start|>assistant<|channel|>analysis<|message|>a<|end|>", True, 2),
        ("<|channel|>final<|message|>hmm", False, 0),
    ],
)
def test_thinking_on_a_channel(text: str, opens: bool, count: int) -> None:
    """There is no tag to look for that ends thinking alone: it was told as 0."""
    assert num_reasoning_tokens(list(text.encode()), ByteTokenizer(), HARMONY, opens) == count


def test_thinking_between_words() -> None:
    text = b"Here is my thought process:h\xffm\nHere is my response:hm"
    assert num_reasoning_tokens(list(text), ByteTokenizer(), GRANITE, False) == 3
    assert num_reasoning_tokens(list(b"Hello"), ByteTokenizer(), GRANITE, False) == 0


def test_a_model_that_does_not_think() -> None:
    assert num_reasoning_tokens(list(b"<t>hm</t>"), ByteTokenizer(), PLAIN, False) == 0
