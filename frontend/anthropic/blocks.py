"""The content blocks of an answer as they grow, and the events that tell of them.

content_block_start, content_block_delta ..., content_block_stop    for each block, one after the other
"""

from typing import Any

import orjson

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning

Event = dict[str, Any]
Block = dict[str, Any]

_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}
_CALL_DELTA = ("input_json_delta", "partial_json")


class Blocks:
    """What an answer has said so far."""

    def __init__(self) -> None:
        self._done: list[Block] = []
        self._open: Block | None = None
        self._texts: list[str] = []  # of the open block
        self._blank = ""  # white space between blocks: only text that goes on after it makes it a block

    @property
    def has_calls(self) -> bool:
        return any(block["type"] == "tool_use" for block in self._done)

    def blocks(self) -> list[Block]:
        """All of them, once finished."""
        return self._done

    def push(self, parts: list[Part]) -> list[Event]:
        """What the parts say."""
        return [event for part in parts for event in self._push(part)]

    def finish(self) -> list[Event]:
        """The end of the answer."""
        return self._close()

    def _push(self, part: Part) -> list[Event]:
        match part:
            case Reasoning(text):
                return self._text({"type": "thinking", "thinking": "", "signature": ""}, text)
            case Content(text):
                is_blank = text.isspace() and self._next_index > 0 and not self._is_open("text")
                if is_blank or not text:
                    self._blank += text
                    return []
                text, self._blank = self._blank + text, ""
                return self._text({"type": "text", "text": "", "citations": None}, text)
            case CallBegin(_, id, name):
                return self._begin({"type": "tool_use", "id": id, "name": name, "input": {}})
            case CallArguments(_, text):
                return [self._delta(text)]

    def _text(self, block: Block, text: str) -> list[Event]:
        begun = [] if self._is_open(block["type"]) else self._begin(block)
        return [*begun, self._delta(text)]

    def _is_open(self, kind: str) -> bool:
        return self._open is not None and self._open["type"] == kind

    @property
    def _next_index(self) -> int:
        return len(self._done) + (self._open is not None)

    def _begin(self, block: Block) -> list[Event]:
        ended = self._close()
        self._open = block
        return [*ended, {"type": "content_block_start", "index": len(self._done), "content_block": dict(block)}]

    def _delta(self, text: str) -> Event:
        assert self._open is not None  # arguments come after the beginning of their call
        self._texts.append(text)
        kind, field = _DELTAS.get(self._open["type"], _CALL_DELTA)
        delta = {"type": kind, field: text}
        return {"type": "content_block_delta", "index": len(self._done), "delta": delta}

    def _close(self) -> list[Event]:
        if self._open is None:
            return []
        block, self._open = self._open, None
        text = "".join(self._texts)
        self._texts.clear()
        if block["type"] == "tool_use":
            block["input"] = _call_input(text)
        else:
            block[_DELTAS[block["type"]][1]] = text
        self._done.append(block)
        return [{"type": "content_block_stop", "index": len(self._done) - 1}]


def _call_input(text: str) -> dict[str, Any]:
    """The arguments of a call; those of one that was cut short are nothing."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
