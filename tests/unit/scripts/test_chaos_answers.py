"""How `scripts/chaos` reads answers: only whole and well-formed ones can be compared."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from scripts.chaos_testing.answers import Answer, BrokenAnswer, ChoiceText, StreamedAnswer, error_code, whole_answer

DONE = b"[DONE]"


def event(index: int, text: str, reason: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choice = {"index": index, "text": text, "finish_reason": reason}
    return msgspec.json.encode({"choices": [choice], "usage": usage})


def streamed(*events: bytes) -> Answer:
    answer = StreamedAnswer()
    for one in events:
        answer.take(one)
    return answer.answer()


def test_a_stream_is_put_together_choice_by_choice() -> None:
    usage = msgspec.json.encode({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    answer = streamed(event(1, "x"), event(0, "a"), event(0, "b", "stop"), event(1, "y", "length"), usage, DONE)
    assert answer == Answer((ChoiceText("ab", "stop"), ChoiceText("xy", "length")), 3, 4)


def test_chat_deltas_count_as_text_only_with_content() -> None:
    answer = StreamedAnswer()
    first = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    second = {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    assert [answer.take(msgspec.json.encode(one)) for one in (first, second)] == [[], [0]]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event(0, "a", "stop")], r"without \[DONE\]"),
        ([event(0, "a"), DONE], "no finish_reason"),
        ([event(0, "a", "stop"), DONE, event(0, "b")], r"after \[DONE\]"),
        ([event(0, "a", "stop"), event(0, "b")], "after its finish_reason"),
        ([b'{"error": {"code": "step_failed", "message": "no"}}'], "error step_failed: no"),
        ([b"{"], "not JSON"),
    ],
)
def test_a_broken_stream_is_no_answer(events: list[bytes], reason: str) -> None:
    with pytest.raises(BrokenAnswer, match=reason):
        streamed(*events)


def _completion(choices: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 2}})


def test_whole_answers() -> None:
    plain = _completion([{"index": 0, "text": "a", "finish_reason": "stop"}])
    chat = _completion([{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}])
    assert whole_answer(plain) == whole_answer(chat) == Answer((ChoiceText("a", "stop"),), 1, 2)


@pytest.mark.parametrize("score", [lambda value: value, lambda value: [value]])
def test_scores_in_either_shape_in_the_order_of_their_index(score: Callable[[float], object]) -> None:
    data = [{"index": 1, "score": score(0.25)}, {"index": 0, "score": score(0.1)}]
    assert whole_answer(msgspec.json.encode({"data": data})) == Answer(scores=(0.1, 0.25))


def test_error_codes() -> None:
    assert error_code(b'{"error": {"code": "queue_full"}}') == "queue_full"
    assert error_code(b"<html>") == "<html>"
