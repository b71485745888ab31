"""The same request answered whole and in parts, both brought into one form. The events of a stream are checked for what
clients stumble over."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from frontend.generate_shapes import ChatCompletionReply, CompletionReply

Choice = dict[str, Any]
Event = dict[str, Any]


@dataclass
class Answer:
    """What a reply says. `choices` by index; a choice's "numbers" are its log-probabilities, in order."""

    choices: dict[int, Choice] = field(default_factory=dict)
    usage: Any = None
    prompt_token_ids: Any = None
    usages: list[Any] = field(default_factory=list)  # of every event of a stream


def whole_answer(client: httpx.Client, path: str, body: dict[str, Any]) -> Answer:
    """Of a reply without parts. Fails with the reply when it is no 200."""
    reply = client.post(path, json=body)
    assert reply.status_code == 200, reply.text
    content = reply.json()
    described = msgspec.convert(content, CompletionReply if path.endswith("/v1/completions") else ChatCompletionReply)
    assert msgspec.to_builtins(described) == content, "the API's description knows nothing of some of it"
    answer = Answer(usage=content["usage"], prompt_token_ids=content.get("prompt_token_ids"))
    for choice in content["choices"]:
        answer.choices[choice["index"]] = _finished(_text_choice(choice) if "text" in choice else _message(choice))
    return answer


def streamed_answer(client: httpx.Client, path: str, body: dict[str, Any]) -> Answer:
    """Of a stream with its usage. Fails when an event is not as clients expect it."""
    options = {"include_usage": True} | body.get("stream_options", {})
    answer = Answer()
    for event in _events(client, path, body | {"stream": True, "stream_options": options}):
        answer.usages.append(event["usage"])
        answer.prompt_token_ids = event.get("prompt_token_ids", answer.prompt_token_ids)
        if not event["choices"]:
            assert answer.usage is None, "two chunks of usage"
            answer.usage = event["usage"]
        for part in event["choices"]:
            _add(answer.choices, part)
    assert all(choice["finish_reason"] for choice in answer.choices.values())
    assert answer.usage is not None
    return Answer(
        {index: _finished(choice) for index, choice in sorted(answer.choices.items())},
        answer.usage,
        answer.prompt_token_ids,
        answer.usages,
    )


def _events(client: httpx.Client, path: str, body: dict[str, Any]) -> Iterator[Event]:
    is_done = False
    with client.stream("POST", path, json=body) as reply:
        assert reply.status_code == 200, reply.read()
        for line in reply.iter_lines():
            if not line.startswith("data: "):
                continue
            assert not is_done, "an event after [DONE]"
            is_done = line == "data: [DONE]"
            if not is_done:
                event = json.loads(line.removeprefix("data: "))
                assert "error" not in event, event
                yield event
    assert is_done, "no [DONE]"


def _add(choices: dict[int, Choice], part: Event) -> None:
    """One part of a choice. Its finish reason is always there, and set once, in the last part."""
    is_first = part["index"] not in choices
    choice = choices.setdefault(part["index"], _new_choice("text" in part))
    assert choice["finish_reason"] is None, "a part after the last one"
    choice["finish_reason"], choice["stop_reason"] = part["finish_reason"], part.get("stop_reason")
    choice["token_ids"] += part.get("token_ids") or []
    choice["prompt_token_ids"] = part.get("prompt_token_ids", choice["prompt_token_ids"])
    _add_logprobs(choice, part["logprobs"])
    if "text" in part:
        choice["text"] += part["text"]
    else:
        _add_delta(choice, part["delta"], is_first)


def _add_delta(choice: Choice, delta: Event, is_first: bool) -> None:
    assert is_first == ("role" in delta), "the role comes with the first part and never again"
    assert None not in delta.values(), delta
    assert delta.get("tool_calls") != [], delta
    assert delta.get("reasoning") == delta.get("reasoning_content")
    choice["text"] += delta.get("content", "")
    choice["reasoning"] += delta.get("reasoning", "")
    for call in delta.get("tool_calls", []):
        function = call["function"]
        if call["index"] == len(choice["calls"]):
            assert call["id"], call
            assert call["type"] == "function", call
            choice["calls"].append({"name": function["name"], "arguments": ""})
        else:
            assert call.keys() == {"index", "function"}, call
            assert function.keys() == {"arguments"}, call
        choice["calls"][call["index"]]["arguments"] += function.get("arguments", "")


def _new_choice(is_text: bool) -> Choice:
    return {
        "is_text": is_text,
        "text": "",
        "reasoning": "",
        "calls": [],
        "finish_reason": None,
        "stop_reason": None,
        "token_ids": [],
        "prompt_token_ids": None,
        "tokens": [],
        "numbers": [],
    }


def _text_choice(body: Event) -> Choice:
    choice = _new_choice(is_text=True)
    choice["text"] = body["text"]
    return _with_ends(choice, body)


def _message(body: Event) -> Choice:
    choice, message = _new_choice(is_text=False), body["message"]
    choice["text"] = message["content"] or ""
    choice["reasoning"] = message.get("reasoning") or ""
    choice["calls"] = [
        {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
        for call in message.get("tool_calls") or []
    ]
    return _with_ends(choice, body)


def _with_ends(choice: Choice, body: Event) -> Choice:
    choice["finish_reason"], choice["stop_reason"] = body["finish_reason"], body["stop_reason"]
    choice["token_ids"] = body.get("token_ids") or []
    choice["prompt_token_ids"] = body.get("prompt_token_ids")
    _add_logprobs(choice, body["logprobs"])
    return choice


def _add_logprobs(choice: Choice, logprobs: Any) -> None:
    """Tokens and numbers apart: the numbers of two runs may differ in their last digits."""
    if logprobs is None:
        return
    if not choice["is_text"]:
        for token in logprobs["content"]:
            entries = [token, *token["top_logprobs"]]
            choice["tokens"].append([[entry["token"], entry["bytes"]] for entry in entries])
            choice["numbers"] += [entry["logprob"] for entry in entries]
        return
    columns = (logprobs[name] for name in ("tokens", "text_offset", "token_logprobs", "top_logprobs"))
    for token, offset, logprob, top in zip(*columns, strict=True):
        choice["tokens"].append([token, offset, sorted(top or {})])
        choice["numbers"] += [-1.0 if logprob is None else logprob, *(top[key] for key in sorted(top or {}))]


def _finished(choice: Choice) -> Choice:
    assert choice["finish_reason"] in ("stop", "length", "tool_calls"), choice
    return choice
