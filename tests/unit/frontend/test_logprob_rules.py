"""Which log-probabilities the fields of both APIs ask for, and which they may not."""

from typing import Any

import msgspec
import pytest

from frontend.logprob_rules import LogprobRules, chat_logprobs, completion_logprobs
from frontend.schema_chat import ChatRequest
from frontend.schema_completions import CompletionRequest
from ipc.errors import RequestError


def completion(**fields: Any) -> LogprobRules:
    return completion_logprobs(msgspec.convert({"prompt": "x"} | fields, CompletionRequest), 20)


def chat(**fields: Any) -> LogprobRules:
    messages = [{"role": "user", "content": "x"}]
    return chat_logprobs(msgspec.convert({"messages": messages} | fields, ChatRequest), 20)


def test_completions() -> None:
    assert completion() == completion(logprobs=False) == (-1, -1)
    assert completion(logprobs=0) == (0, -1)
    assert completion(logprobs=20, prompt_logprobs=3) == (20, 3)


def test_an_echoed_prompt_is_told_like_the_output() -> None:
    assert completion(echo=True) == (-1, -1)
    assert completion(echo=True, logprobs=2) == (2, 2)
    assert completion(echo=True, logprobs=2, prompt_logprobs=5) == (2, 5)


def test_chat() -> None:
    assert chat() == chat(logprobs=False, top_logprobs=0) == (-1, -1)
    assert chat(logprobs=True) == (0, -1)
    assert chat(logprobs=True, top_logprobs=20, prompt_logprobs=0) == (20, 0)


@pytest.mark.parametrize(
    ("ask", "fields", "param"),
    [
        (completion, {"logprobs": 21}, "logprobs"),
        (completion, {"logprobs": True}, "logprobs"),
        (completion, {"prompt_logprobs": 21}, "prompt_logprobs"),
        (completion, {"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
        (chat, {"top_logprobs": 1}, "top_logprobs"),
        (chat, {"top_logprobs": 1, "logprobs": False}, "top_logprobs"),
        (chat, {"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ],
)
def test_refusals(ask: Any, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        ask(**fields)
    assert caught.value.param == param
