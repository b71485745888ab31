"""How much of a prompt is taken."""

from typing import Any

import msgspec
import pytest

from frontend.prompt_length import prompt_limit, side_that_gives_way, truncated
from frontend.schema_completions import CompletionRequest
from ipc.errors import RequestError
from ipc.fake_card import fake_card

CARD = fake_card(0, "m", "fake:generate", 100, 16, 0)
IDS = [1, 2, 3, 4, 5]


def fields(**values: Any) -> CompletionRequest:
    return msgspec.convert({"prompt": "x"} | values, CompletionRequest)


@pytest.mark.parametrize(
    ("asked", "max_tokens", "limit"), [(None, 7, None), (3, 7, 3), (100, None, 100), (-1, 7, 93), (-1, None, 99)]
)
def test_limit(asked: int | None, max_tokens: int | None, limit: int | None) -> None:
    assert prompt_limit(fields(truncate_prompt_tokens=asked), max_tokens, CARD) == limit


@pytest.mark.parametrize("asked", [0, 101])
def test_a_limit_that_cannot_be(asked: int) -> None:
    with pytest.raises(RequestError) as caught:
        prompt_limit(fields(truncate_prompt_tokens=asked), None, CARD)
    assert caught.value.param == "truncate_prompt_tokens"


def test_the_beginning_gives_way_unless_told_otherwise() -> None:
    assert truncated(IDS, 2, side_that_gives_way(fields())) == [4, 5]
    assert truncated(IDS, 2, side_that_gives_way(fields(truncation_side="right"))) == [1, 2]
    assert truncated(IDS, 5, "left") == truncated(IDS, None, "left") == IDS
