"""Calls whose arguments come one after the other between tags: the part that qwen3_coder and glm have in common."""

import json
from collections.abc import Sequence

from frontend.schema_chat import Tool
from frontend.text_parser import TextParser
from frontend.text_reader import Sink, Steps, Tags
from frontend.tool_calls.typed_values import ValueTypes, json_text

TEXT = frozenset({"string"})


class TypedCallParser(TextParser):
    """Builds the JSON of the arguments. Text goes out as it comes, other values once they are complete."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._types = ValueTypes(tools)
        self._tool = ""
        self._num_arguments = 0
        super().__init__()

    def _begin_typed_call(self, tool: str) -> None:
        self._tool = tool
        self._num_arguments = 0
        self._begin_call(tool)
        self._arguments("{")

    def _end_typed_call(self) -> None:
        self._arguments("}")

    def _value(self, name: str, ends: Tags, trims_newlines: bool) -> Steps[str]:
        """Reads one value up to one of `ends`: the result, "" if the text ended first. `trims_newlines`: one newline at
        the beginning and one at the end are not the value's."""
        self._arguments(f"{', ' if self._num_arguments else ''}{json.dumps(name, ensure_ascii=False)}: ")
        self._num_arguments += 1
        types = self._types.of(self._tool, name)
        if types == TEXT:
            self._arguments('"')
            end = yield from self._trimmed(ends, lambda text: self._arguments(_escaped(text)), trims_newlines)
            if end:
                self._arguments('"')
            return end
        read: list[str] = []
        end = yield from self._trimmed(ends, read.append, trims_newlines)
        if end:
            self._arguments(json_text("".join(read), types))
        return end

    def _trimmed(self, ends: Tags, sink: Sink, trims_newlines: bool) -> Steps[str]:
        if not trims_newlines:
            return (yield from self._reader.upto(ends, sink))
        yield from self._reader.starts("\n")
        held = ""  # a newline that may be the last

        def push(text: str) -> None:
            nonlocal held
            text = held + text
            held = "\n" if text.endswith("\n") else ""
            sink(text[: len(text) - len(held)])

        return (yield from self._reader.upto(ends, push))


def _escaped(text: str) -> str:
    """As it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
