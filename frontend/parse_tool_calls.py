"""Finds tool calls in the text of models that write them as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`.

A call is given out whole, once it is complete; text before it streams on, except a beginning of the tag that is still
undecided. Text between the tags that is no call is given out as text, tags included.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson

OPEN_TAG = "<tool_call>"
CLOSE_TAG = "</tool_call>"


@dataclass(frozen=True)
class ToolCall:
    """One call the model made. `arguments` is JSON text, as OpenAI's API has it."""

    id: str
    name: str
    arguments: str

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


Piece = str | ToolCall


class ToolCallParser:
    """Watches the text of one choice."""

    def __init__(self) -> None:
        self._buffer = ""
        self._inside = False
        self._after_call = False
        self.num_calls = 0

    def push(self, text: str) -> list[Piece]:
        """The pieces that are complete now, in order."""
        self._buffer += text
        pieces: list[Piece] = []
        while True:
            if self._inside:
                body, tag, rest = self._buffer.partition(CLOSE_TAG)
                if not tag:
                    return pieces
                self._buffer, self._inside = rest, False
                self._add(pieces, self._call_or_text(body, OPEN_TAG + body + CLOSE_TAG))
            else:
                before, tag, rest = self._buffer.partition(OPEN_TAG)
                if not tag:
                    num_held = _num_undecided(self._buffer)
                    free = len(self._buffer) - num_held
                    self._add(pieces, self._buffer[:free])
                    self._buffer = self._buffer[free:]
                    return pieces
                self._add(pieces, before)
                self._buffer, self._inside = rest, True

    def finish(self) -> list[Piece]:
        """What is left when the text ends. A last call whose closing tag is missing counts if its JSON is complete."""
        body, self._buffer = self._buffer, ""
        pieces: list[Piece] = []
        if self._inside:
            self._inside = False
            self._add(pieces, self._call_or_text(body, OPEN_TAG + body))
        else:
            self._add(pieces, body)
        return pieces

    def _add(self, pieces: list[Piece], piece: Piece) -> None:
        """Appends, but not the white space that follows a call."""
        if isinstance(piece, ToolCall):
            self.num_calls += 1
            self._after_call = True
        elif self._after_call:
            piece = piece.lstrip()
            self._after_call = not piece
        if piece:
            pieces.append(piece)

    def _call_or_text(self, body: str, text: str) -> Piece:
        try:
            call = orjson.loads(body)
        except orjson.JSONDecodeError:
            return text
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return text
        arguments = call.get("arguments", call.get("parameters"))
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        return ToolCall(id=f"call_{uuid4().hex}", name=call["name"], arguments=arguments)


def _num_undecided(text: str) -> int:
    """Characters at the end of `text` that could become the opening tag."""
    for length in range(min(len(OPEN_TAG) - 1, len(text)), 0, -1):
        if OPEN_TAG.startswith(text[len(text) - length :]):
            return length
    return 0
