"""Encodes the chunks of one streamed reply. What is the same in all of them is encoded once; a delta then costs the
escaping of its text and two joins."""

from typing import Any

import orjson

from frontend.parse_tool_calls import ToolCall


class ChunkEncoder:
    """Chunks of completions: choices hold text. `with_usage`: usage was asked for, so every chunk has that key."""

    def __init__(self, reply_id: str, kind: str, created: int, model: str, with_usage: bool) -> None:
        head = orjson.dumps({"id": reply_id, "object": kind, "created": created, "model": model})
        self._head = b"data: " + head[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"

    def text(self, choice: int, text: str) -> bytes:
        return self._chunk(
            b'{"index":%d,"text":%b,"logprobs":null,"finish_reason":null}' % (choice, orjson.dumps(text))
        )

    def finish(self, choice: int, text: str, finish_reason: str, stop_reason: str | int | None) -> bytes:
        """The last chunk of a choice, with the text that is left."""
        ended = b'{"index":%d,"text":%b,"logprobs":null,"finish_reason":%b,"stop_reason":%b}'
        return self._chunk(ended % (choice, orjson.dumps(text), orjson.dumps(finish_reason), orjson.dumps(stop_reason)))

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk before DONE: no choices, the usage of the whole request."""
        return self._head + b'],"usage":' + orjson.dumps(usage) + b"}\n\n"

    def _chunk(self, choice: bytes) -> bytes:
        return self._head + choice + self._tail


class ChatChunkEncoder(ChunkEncoder):
    """Chunks of chat: choices hold a delta of the message."""

    def role(self, choice: int) -> bytes:
        """The first chunk of a choice."""
        return self._delta(choice, b'{"role":"assistant","content":""}')

    def text(self, choice: int, text: str) -> bytes:
        return self._delta(choice, b'{"content":%b}' % orjson.dumps(text))

    def tool_call(self, choice: int, number: int, call: ToolCall) -> bytes:
        """A whole call; `number` counts the calls of the choice."""
        return self._delta(choice, orjson.dumps({"tool_calls": [{"index": number, **call.as_dict()}]}))

    def finish(self, choice: int, text: str, finish_reason: str, stop_reason: str | int | None) -> bytes:
        delta = b'{"content":%b}' % orjson.dumps(text) if text else b"{}"
        ended = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b,"stop_reason":%b}'
        return self._chunk(ended % (choice, delta, orjson.dumps(finish_reason), orjson.dumps(stop_reason)))

    def _delta(self, choice: int, delta: bytes) -> bytes:
        return self._chunk(b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":null}' % (choice, delta))
