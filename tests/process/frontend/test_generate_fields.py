"""What the fields of completions and chat become on the way to the scheduler, and which values are refused."""

from collections.abc import Iterable
from typing import Any

import httpx
import numpy as np
import pytest
from msgspec import Struct

from ipc.messages import FinishReason, SubmitGenerate
from ipc.token_rules import TokenRules, decode_rules
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import (
    ScriptedScheduler,
    answers_text,
    prompt_rows,
    token_rows,
    with_logprobs,
)

pytestmark = pytest.mark.process

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
RULES: dict[str, Any] = {
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "repetition_penalty": 1.5,
    "min_tokens": 2,
    "logit_bias": {"65": -100},
    "allowed_token_ids": [65, 66],
    "bad_words": ["no"],
    "stop_token_ids": [90],
    "max_tokens": 4,
}


def ids(column: bytes) -> list[int]:
    return list(np.frombuffer(column, "<i4").tolist())


@pytest.mark.parametrize(("path", "prompt"), [(COMPLETIONS, {"prompt": "hi"}), (CHAT, {"messages": MESSAGES})])
def test_the_scheduler_gets_what_was_asked(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, path: str, prompt: dict[str, Any]
) -> None:
    scheduler.answer = answers_text("ABAB")
    extra = {"user": "anna", "priority": 3, "cache_salt": "s", "prompt_logprobs": 1, "n": 2}
    logprobs = {"logprobs": 2} if path == COMPLETIONS else {"logprobs": True, "top_logprobs": 2}
    with httpx.Client(base_url=frontend.url, timeout=30) as client:
        client.post(path, json=prompt | RULES | extra | logprobs, headers={"X-Request-Timeout": "0.5"})
    first, second = scheduler.next(SubmitGenerate), scheduler.next(SubmitGenerate)
    assert (first.tenant, first.priority, first.cache_salt) == ("anna", 3, "s")
    assert (first.num_logprobs, second.num_logprobs) == (2, 2)
    assert (first.num_prompt_logprobs, second.num_prompt_logprobs) == (1, -1)
    assert first.rules == second.rules
    rules: TokenRules = decode_rules(first.rules)
    assert (rules.presence_penalty, rules.frequency_penalty, rules.repetition_penalty) == (0.5, -0.5, 1.5)
    assert (rules.min_tokens, ids(rules.stop_ids)) == (2, [90, 256])
    assert (ids(rules.bias_ids), ids(rules.allowed_ids)) == ([65], [65, 66])
    assert [ids(word) for word in rules.bad_words] == [list(b"no")]


def test_a_plain_request_has_no_rules(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("AB")
    httpx.post(f"{frontend.url}{CHAT}", json={"messages": MESSAGES}, timeout=30)
    submit = scheduler.next(SubmitGenerate)
    assert (submit.rules, submit.num_logprobs, submit.num_prompt_logprobs, submit.tenant) == (b"", -1, -1, "")


def test_a_stream_with_its_logprobs_outlives_a_scheduler(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    """What is asked for again carries the same rules, and only the prompt's numbers that have not come."""
    body = {"prompt": "abc", "echo": True, "logprobs": 0, "stream": True, "max_tokens": 9, "presence_penalty": 1}

    def first_token(record: Struct) -> Iterable[Struct]:  # the reply's headers come with it
        if isinstance(record, SubmitGenerate) and not record.resumes:
            yield prompt_rows(record.stream_id, 1, -1.0, -2.0)
            row = token_rows((record.stream_id, 0, ord("d"), FinishReason.NONE))
            yield with_logprobs(row, 0, (-3.0, 1, []))

    scheduler.answer = first_token
    with httpx.stream("POST", f"{frontend.url}{COMPLETIONS}", json=body, timeout=30) as reply_stream:
        first = scheduler.next(SubmitGenerate)
        lines = reply_stream.iter_lines()
        assert '"text":"abcd"' in next(lines)
        lost = token_rows((first.stream_id, 2, ord("x"), FinishReason.NONE))
        scheduler.send(with_logprobs(lost, 0, (-9.0, 1, [])))
        again = scheduler.next(SubmitGenerate)
        assert (again.num_output, again.num_logprobs, again.num_prompt_logprobs) == (1, 0, -1)
        assert again.rules == first.rules != b""
        row = token_rows((again.stream_id, 1, ord("e"), FinishReason.LENGTH))
        scheduler.send(with_logprobs(row, 0, (-4.0, 1, [])))
        rest = "".join(lines)
    assert '"text":"e","logprobs":{"text_offset":[4],"token_logprobs":[-4.0]' in rest


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (COMPLETIONS, {"logit_bias": {"300": 1}}, "logit_bias"),
    (COMPLETIONS, {"logit_bias": {"x": 1}}, "logit_bias"),
    (COMPLETIONS, {"logit_bias": [1]}, "logit_bias"),
    (COMPLETIONS, {"allowed_token_ids": []}, "allowed_token_ids"),
    (COMPLETIONS, {"bad_words": [" "]}, "bad_words[0]"),
    (COMPLETIONS, {"bad_words": "no"}, "bad_words"),
    (COMPLETIONS, {"min_tokens": 17}, "min_tokens"),
    (COMPLETIONS, {"presence_penalty": 3}, "presence_penalty"),
    (COMPLETIONS, {"logprobs": 21}, "logprobs"),
    (COMPLETIONS, {"suffix": "x"}, "suffix"),
    (COMPLETIONS, {"max_tokens": 0}, "max_tokens"),
    (COMPLETIONS, {"best_of": 1, "n": 2}, "best_of"),
    (COMPLETIONS, {"n": 129}, "n"),
    (COMPLETIONS, {"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
    (COMPLETIONS, {"truncate_prompt_tokens": 5000}, "truncate_prompt_tokens"),
    (COMPLETIONS, {"truncation_side": "middle"}, "truncation_side"),
    (COMPLETIONS, {"use_beam_search": True}, "use_beam_search"),
    (COMPLETIONS, {"length_penalty": 2}, "length_penalty"),
    (COMPLETIONS, {"prompt": ["x" * 4000] * 3, "n": 128}, "prompt"),
    (CHAT, {"top_logprobs": 1}, "top_logprobs"),
    (CHAT, {"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
    (CHAT, {"logprobs": 3}, "logprobs"),
    (CHAT, {"stream": True, "prompt_logprobs": 1}, "prompt_logprobs"),
    (CHAT, {"stream_options": {"include_usage": True}}, "stream_options"),
]


@pytest.mark.parametrize(("path", "fields", "param"), REFUSED, ids=[str(fields)[:50] for _, fields, _ in REFUSED])
def test_refusals(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, path: str, fields: dict[str, Any], param: str
) -> None:
    prompt: dict[str, Any] = {"prompt": "hi"} if path == COMPLETIONS else {"messages": MESSAGES}
    reply = httpx.post(f"{frontend.url}{path}", json=prompt | fields, timeout=30)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param), reply.text
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert scheduler.received.empty()
