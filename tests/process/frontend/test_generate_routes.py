"""Completions and chat through a real frontend process, with the official client."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from msgspec import Struct
from openai.types.chat import ChatCompletionToolParam

from ipc.errors import ErrorCode
from ipc.messages import Abort, Failed, FinishReason, SubmitGenerate
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler, answers_text, token_rows, tokens_of

pytestmark = pytest.mark.process


def client(frontend: FrontendUnderTest) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{frontend.url}/v1", api_key="none", max_retries=0, timeout=20)


def test_completion(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("grüße", FinishReason.STOP)
    with client(frontend) as api:
        reply = api.completions.create(model="chat", prompt="hello", max_tokens=50, seed=7, temperature=0)
    assert reply.choices[0].text == "grüße"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.id.startswith("cmpl-")
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (5, 8, 13)
    submit = scheduler.next(SubmitGenerate)
    assert submit.sampling.seed == 7
    assert submit.sampling.temperature == 0
    assert submit.max_tokens == 50


def test_list_of_prompts_with_several_choices_each(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    """Index = prompt index * n + i, whatever the order of the answers; equal prompts share their seeds."""

    def answer(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitGenerate):
            token = record.prompt[0] + record.sampling.seed % 2  # "a" or "b" for prompt [97]
            yield token_rows((record.stream_id, 0, token, FinishReason.LENGTH))

    scheduler.answer = answer
    with client(frontend) as api:
        reply = api.completions.create(model="chat", prompt=[[97], [65]], n=2, max_tokens=1, seed=0)
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in reply.choices] == ["a", "b", "A", "B"]
    seeds = [scheduler.next(SubmitGenerate).sampling.seed for _ in range(4)]
    assert seeds[0] == 0
    assert seeds[:2] == seeds[2:]


def test_streamed_completion_equals_the_unstreamed(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("日本語 and more")
    with client(frontend) as api:
        chunks = list(api.completions.create(model="chat", prompt="x", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "日本語 and more"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["length"]


def test_streamed_chat_event_by_event(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    """Each token is a chunk of its own when the client keeps up, and half a character never is."""
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "stream_options": {"include_usage": True}}

    def first_token(record: Struct) -> Iterable[Struct]:  # the reply's headers come with it
        if isinstance(record, SubmitGenerate):
            yield token_rows((record.stream_id, 0, ord("a"), FinishReason.NONE), num_cached=16)

    scheduler.answer = first_token
    with httpx.stream("POST", f"{frontend.url}/v1/chat/completions", json=body) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in reply.iter_lines() if line)
        stream_id = scheduler.next(SubmitGenerate).stream_id
        first, second = tokens_of("é")
        assert '"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null' in next(lines)
        assert '"delta":{"content":"a"},"logprobs":null,"finish_reason":null}],"usage":null' in next(lines)
        scheduler.send(token_rows((stream_id, 1, first, FinishReason.NONE), num_cached=16))
        scheduler.send(token_rows((stream_id, 2, second, FinishReason.NONE), num_cached=16))
        assert '"delta":{"content":"é"}' in next(lines)
        scheduler.send(token_rows((stream_id, 2, second, FinishReason.NONE)))  # a repeated token counts once
        scheduler.send(token_rows((stream_id, 3, 256, FinishReason.STOP), num_cached=16))
        assert '"delta":{},"logprobs":null,"finish_reason":"stop","stop_reason":null' in next(lines)
        usage = next(lines)
        assert '"choices":[],' in usage
        assert '"completion_tokens":4' in usage
        assert '"cached_tokens":16' in usage
        assert next(lines) == "data: [DONE]"


def test_chat_takes_the_rest_of_the_context(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text("hello")
    with client(frontend) as api:
        reply = api.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
        api.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], max_completion_tokens=3, max_tokens=9
        )
    assert reply.choices[0].message.content == "hello"
    assert reply.choices[0].message.role == "assistant"
    first, second = scheduler.next(SubmitGenerate), scheduler.next(SubmitGenerate)
    assert first.max_tokens == 4096 - len(first.prompt) // 4
    assert second.max_tokens == 3


@pytest.mark.parametrize("stream", [False, True])
def test_stop_string_is_not_shown_and_ends_the_work(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, stream: bool
) -> None:
    scheduler.answer = answers_text("one two three four")
    body = {"prompt": "x", "stop": ["thr", "zzz"], "stream": stream}
    reply = httpx.post(f"{frontend.url}/v1/completions", json=body)
    assert '"finish_reason":"stop","stop_reason":"thr"' in reply.text
    submit = scheduler.next(SubmitGenerate)
    assert int.from_bytes(scheduler.next(Abort).stream_ids, "little") == submit.stream_id
    if not stream:
        assert reply.json()["choices"][0]["text"] == "one two "
        assert reply.json()["usage"]["completion_tokens"] == len("one two thr")


TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object"}},
}
CALL = 'Let me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'


def test_tool_call(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text(CALL, FinishReason.STOP)
    with client(frontend) as api:
        reply = api.chat.completions.create(
            model="chat",
            messages=[{"role": "user", "content": "weather?"}],
            tools=[TOOL],
        )
    message = reply.choices[0].message
    assert reply.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    assert message.content == "Let me see.\n"
    call = message.tool_calls[0]
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})


def test_streamed_tool_call(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = answers_text(CALL, FinishReason.STOP)
    with client(frontend) as api:
        chunks = list(
            api.chat.completions.create(
                model="chat",
                messages=[{"role": "user", "content": "weather?"}],
                tools=[TOOL],
                stream=True,
            )
        )
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == "Let me see.\n"
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    functions = [call.function for call in calls if call.function is not None]
    assert {call.index for call in calls} == {0}
    assert [bool(call.id) for call in calls] == [True] + [False] * (len(calls) - 1)
    assert [function.name for function in functions if function.name] == ["get_weather"]
    assert json.loads("".join(function.arguments or "" for function in functions)) == {"city": "Oslo"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_no_parallel_tool_calls(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    """Only the first of several calls is delivered."""
    scheduler.answer = answers_text(CALL + CALL.replace("Oslo", "Rome"), FinishReason.STOP)
    for parallel, num_calls in ((False, 1), (True, 2)):
        with client(frontend) as api:
            reply = api.chat.completions.create(
                model="chat",
                messages=[{"role": "user", "content": "weather?"}],
                tools=[TOOL],
                parallel_tool_calls=parallel,
            )
        calls = reply.choices[0].message.tool_calls or []
        assert len(calls) == num_calls
        assert calls[0].type == "function"
        assert json.loads(calls[0].function.arguments) == {"city": "Oslo"}


def test_text_of_a_call_is_content_when_no_tools_were_offered(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler
) -> None:
    scheduler.answer = answers_text(CALL, FinishReason.STOP)
    with client(frontend) as api:
        reply = api.chat.completions.create(model="chat", messages=[{"role": "user", "content": "weather?"}])
    assert reply.choices[0].message.content == CALL
    assert reply.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (ErrorCode.QUEUE_FULL, 429, "rate_limit_exceeded"),
        (ErrorCode.STEP_FAILED, 500, "step_failed"),
        (ErrorCode.NO_WORKER, 503, "no_worker"),
    ],
)
def test_a_failed_stream(
    frontend: FrontendUnderTest, scheduler: ScriptedScheduler, code: ErrorCode, status: int, name: str
) -> None:
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    scheduler.answer = lambda record: (
        [Failed(record.stream_id, code, "it went wrong in /usr/lib/python3/x.py", 2.5)]
        if isinstance(record, SubmitGenerate)
        else []
    )
    for body in (chat, chat | {"stream": True}):
        reply = httpx.post(f"{frontend.url}/v1/chat/completions", json=body)
        assert reply.status_code == status
        assert reply.json()["error"]["code"] == name
        if status == 429:
            assert reply.headers["retry-after"] == "3"
        if status == 500:
            assert "/usr/lib" not in reply.text


def test_256_streams_at_once_keep_apart(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    """Every choice gets its own tokens though all travel in the same batches."""
    body = {"prompt": [f"{number:03d}" for number in range(256)], "max_tokens": 3, "stream": True}
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(httpx.post, f"{frontend.url}/v1/completions", json=body, timeout=30)
        submits = [scheduler.next(SubmitGenerate) for _ in range(256)]
        for position in range(3):
            finish = FinishReason.LENGTH if position == 2 else FinishReason.NONE
            scheduler.send(token_rows(*((s.stream_id, position, s.prompt[4 * position], finish) for s in submits)))
        reply = pending.result(30)
    texts = [""] * 256
    for line in reply.iter_lines():
        if line.startswith("data: {"):
            choice = json.loads(line.removeprefix("data: "))["choices"][0]
            texts[choice["index"]] += choice["text"]
    assert texts == [f"{number:03d}" for number in range(256)]
