"""Encodes the chunks of one streamed reply. What is the same in all of them is encoded once; a plain delta then costs
the escaping of its text and one join."""

from typing import Any

import orjson

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning

NO_LOGPROBS = b'"logprobs":null'
_MARK = b"\0"  # stands for a text; no JSON has such a byte


class ChunkEncoder:
    """Chunks of completions: choices hold text. `with_usage`: usage was asked for, so every chunk has that key.

    `told`: the members of a choice that tell of its tokens, as JSON: `logprobs`, and token ids if they were asked for.
    """

    def __init__(self, reply_id: str, kind: str, created: int, model: str, with_usage: bool) -> None:
        head = orjson.dumps({"id": reply_id, "object": kind, "created": created, "model": model})
        self._head = b"data: " + head[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"
        self._around_text: dict[
            int, tuple[bytes, bytes]
        ] = {}  # by choice: what stands around the text of a plain delta

    def show_usage(self, usage: dict[str, Any]) -> None:
        """The chunks from now on tell this usage."""
        self._tail = b'],"usage":' + orjson.dumps(usage) + b"}\n\n"
        self._around_text.clear()

    def text(self, choice: int, text: str, told: bytes = NO_LOGPROBS) -> bytes:
        """A delta. It goes on after it."""
        if told is not NO_LOGPROBS:
            return self._text(choice, orjson.dumps(text), told)
        around = self._around_text.get(choice)
        if around is None:
            before, after = self._text(choice, _MARK, told).split(_MARK)
            around = self._around_text[choice] = (before, after)
        return around[0] + orjson.dumps(text) + around[1]

    def finish(
        self, choice: int, text: str, finish_reason: str, stop_reason: str | int | None, told: bytes = NO_LOGPROBS
    ) -> bytes:
        """The last chunk of a choice, with the text that is left."""
        ended = b'{"index":%d,"text":%b,%b,"finish_reason":%b,"stop_reason":%b}'
        reasons = (orjson.dumps(finish_reason), orjson.dumps(stop_reason))
        return self._chunk(ended % (choice, orjson.dumps(text), told, *reasons))

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The chunk before DONE: no choices, the usage of the whole request."""
        return self._head + b'],"usage":' + orjson.dumps(usage) + b"}\n\n"

    def _text(self, choice: int, text: bytes, told: bytes) -> bytes:
        """`text`: as JSON."""
        return self._chunk(b'{"index":%d,"text":%b,%b,"finish_reason":null}' % (choice, text, told))

    def _chunk(self, choice: bytes) -> bytes:
        return self._head + choice + self._tail


class ChatChunkEncoder(ChunkEncoder):
    """Chunks of chat: choices hold a delta of the message."""

    def role(self, choice: int, prompt_token_ids: list[int] | None = None) -> bytes:
        """The first chunk of a choice. `prompt_token_ids`: told beside the choices, where they were asked for."""
        delta = b'{"index":%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}' % choice
        if prompt_token_ids is None:
            return self._chunk(delta)
        return self._head + delta + b'],"prompt_token_ids":' + orjson.dumps(prompt_token_ids) + self._tail[1:]

    def part(self, choice: int, part: Part, told: bytes = NO_LOGPROBS) -> bytes:
        """What came of the message."""
        if type(part) is Content:
            return self.text(choice, part.text, told)
        return self._chunk(
            b'{"index":%d,"delta":%b,%b,"finish_reason":null}' % (choice, orjson.dumps(_delta(part)), told)
        )

    def finish(
        self, choice: int, text: str, finish_reason: str, stop_reason: str | int | None, told: bytes = NO_LOGPROBS
    ) -> bytes:
        delta = b'{"content":%b}' % orjson.dumps(text) if text else b"{}"
        ended = b'{"index":%d,"delta":%b,%b,"finish_reason":%b,"stop_reason":%b}'
        reasons = (orjson.dumps(finish_reason), orjson.dumps(stop_reason))
        return self._chunk(ended % (choice, delta, told, *reasons))

    def _text(self, choice: int, text: bytes, told: bytes) -> bytes:
        return self._chunk(b'{"index":%d,"delta":{"content":%b},%b,"finish_reason":null}' % (choice, text, told))


def _delta(part: Part) -> dict[str, Any]:
    """A call's id, type and name come once, with its beginning."""
    match part:
        case Content(text):
            return {"content": text}
        case Reasoning(text):
            return {"reasoning": text, "reasoning_content": text}
        case CallBegin(number, id_, name):
            function = {"name": name, "arguments": ""}
            return {"tool_calls": [{"index": number, "id": id_, "type": "function", "function": function}]}
        case CallArguments(number, text):
            return {"tool_calls": [{"index": number, "function": {"arguments": text}}]}
