"""A choice's tool calls: all of them, or the first one only when the client wants no parallel calls."""

import json
from typing import Any

import pytest

from frontend.chat_choice import ChatChoice
from frontend.chunk_encoder import ChatChunkEncoder
from frontend.stream_group import StreamGroup
from frontend.token_stream import TokenStream
from ipc.messages import FinishReason
from tests.support.frontend_streams import token_stream

TEXT = "".join(f'<tool_call>{{"name": "{name}", "arguments": {{}}}}</tool_call>\n' for name in "fgh")


def new_stream(tells_text: bool) -> TokenStream:
    return token_stream(StreamGroup(tells_text))


def push(stream: TokenStream, text: str) -> None:
    for token_id in text.encode():
        stream.push(token_id, FinishReason.NONE, 0)


@pytest.mark.parametrize(("one_call", "names"), [(False, ["f", "g", "h"]), (True, ["f"])])
def test_calls_of_a_whole_reply(one_call: bool, names: list[str]) -> None:
    stream = new_stream(tells_text=False)
    push(stream, "I look. " + TEXT)
    stream.push(256, FinishReason.STOP, 0)
    reply = ChatChoice(stream, True, one_call).reply()
    assert reply["message"]["content"] == "I look. "
    assert [call["function"]["name"] for call in reply["message"]["tool_calls"]] == names
    assert reply["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(("one_call", "names"), [(False, ["f", "g", "h"]), (True, ["f"])])
@pytest.mark.parametrize("length", [1, 1000])
def test_calls_of_a_streamed_reply(one_call: bool, names: list[str], length: int) -> None:
    """Whether they come one by one or all in the last chunk."""
    stream = new_stream(tells_text=True)
    choice, encoder = ChatChoice(stream, True, one_call), ChatChunkEncoder("id", "chat.completion.chunk", 0, "m", False)
    data = b""
    for start in range(0, len(TEXT), length):
        push(stream, TEXT[start : start + length])
        data += choice.chunks(encoder)
    stream.push(256, FinishReason.STOP, 0)
    data += choice.chunks(encoder)
    chunks: list[dict[str, Any]] = [json.loads(part)["choices"][0] for part in data.split(b"data: ")[1:]]
    calls = [call for chunk in chunks for call in chunk["delta"].get("tool_calls", [])]
    assert [(call["index"], call["function"]["name"]) for call in calls] == list(enumerate(names))
    assert chunks[-1]["finish_reason"] == "tool_calls"
