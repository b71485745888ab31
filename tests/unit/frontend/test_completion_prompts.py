"""The prompts of a completions request."""

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.completion_prompts import CompletionPrompt, completion_prompts
from frontend.encode_prefix import Side
from frontend.schema_completions import CompletionRequest
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import fake_card


class MarkedTokenizer(ByteTokenizer):
    """Bytes, a token 200 before every text, and marks of a gap."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [200] * add_special_tokens + list(text.encode())

    def token_id(self, token: str) -> int | None:
        return {"<fim_prefix>": 201, "<fim_suffix>": 202, "<fim_middle>": 203}.get(token)


CARD = fake_card(0, "m", "fake:generate", 20, 16, 0)


def prompts(model: TextModel | None = None, **fields: Any) -> list[CompletionPrompt]:
    request = msgspec.convert({"prompt": "abcd"} | fields, CompletionRequest)
    return asyncio.run(completion_prompts(request, model or TextModel(CARD, ByteTokenizer(), None), 1))


def ids(**fields: Any) -> list[int]:
    [prompt] = prompts(**fields)
    return list(prompt.prompt.token_ids)


def test_the_end_of_a_prompt_stays() -> None:
    assert ids(truncate_prompt_tokens=2) == [99, 100]
    assert ids(truncate_prompt_tokens=2, truncation_side="right") == [97, 98]
    assert ids(prompt=[1, 2, 3], truncate_prompt_tokens=2) == [2, 3]
    assert ids(prompt="x" * 30, truncate_prompt_tokens=-1, max_tokens=5) == [120] * 15


def test_the_text_is_known_where_all_of_it_is_taken() -> None:
    assert prompts()[0].text == "abcd"
    assert prompts(truncate_prompt_tokens=4)[0].text is None
    assert prompts(prompt=[1])[0].text is None


def test_output_limits() -> None:
    assert prompts()[0].prompt.max_tokens == 16
    assert prompts(prompt="x" * 10)[0].prompt.max_tokens == 10
    assert prompts(max_tokens=0, echo=True)[0].prompt.max_tokens == 0
    assert prompts(max_tokens=0, prompt_logprobs=1)[0].prompt.max_tokens == 0


def test_a_gap() -> None:
    model = TextModel(CARD, MarkedTokenizer(), None)
    assert ids(model=model, suffix="z") == [200, 201, 97, 98, 99, 100, 202, 122, 203]
    assert ids(model=model, suffix="z", add_special_tokens=False)[0] == 201
    assert ids(model=model, suffix="z", prompt=[5]) == [200, 201, 5, 202, 122, 203]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "z"}, "suffix"),
        ({"suffix": "z", "echo": True}, "suffix"),
        ({"suffix": "z", "truncate_prompt_tokens": 2}, "suffix"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt[1]"),
        ({"prompt": [[1], [257]]}, "prompt[1]"),
        ({"prompt": "x" * 20}, "prompt"),
        ({"prompt": ["a"] * 1025}, "prompt"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        prompts(**fields)
    assert caught.value.param == param


def test_a_text_far_too_long_is_not_counted_to_its_end() -> None:
    with pytest.raises(RequestError) as caught:
        prompts(prompt="x" * 1000)
    assert caught.value.code is ErrorCode.CONTEXT_LENGTH_EXCEEDED
    assert "more than 80 tokens" in str(caught.value)


def test_many_short_prompts_leave_the_loop_together() -> None:
    """Each was tokenized on the loop, and nothing else had a turn until the last one."""
    threads: set[int] = set()

    class Watched(ByteTokenizer):
        def encode_prefix(
            self, text: str, max_tokens: int, side: Side = "right", add_special_tokens: bool = False
        ) -> list[int]:
            threads.add(threading.get_ident())
            return super().encode_prefix(text, max_tokens, side, add_special_tokens)

    model = TextModel(CARD, Watched(), None)
    assert len(prompts(model, prompt=["x" * 17] * 1024)) == 1024
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    with pytest.raises(RequestError) as caught:
        prompts(model, prompt=["x" * 17] * 1023 + [""])
    assert caught.value.param == "prompt[1023]"
