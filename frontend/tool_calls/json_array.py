"""<|tool_call|>[{"name": "f", "arguments": {...}}, ...]: Granite 3 and Phi 4 mini."""

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.json_call import JsonCallParser

OPENING = ("<|tool_call|>", "<tool_call>")
CLOSING = ("<|/tool_call|>", "</tool_call>")
_OPENING = Tags(*OPENING)


class JsonArrayParser(JsonCallParser):
    """The tag may be missing at the very beginning of the answer."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        reader.record()
        yield from reader.space()
        if not (yield from self._call_array(needs_arguments=True)):
            self._give_back()
        while tag := (yield from reader.upto(_OPENING, self._content)):
            reader.record(tag)
            yield from reader.space()
            if (yield from reader.peek()) == "{":
                found = yield from self._call_object()
            else:
                found = yield from self._call_array()
            if not found:
                self._give_back()
            else:
                yield from reader.space()
                yield from reader.starts(*CLOSING)


GRANITE = ToolCallFormat(
    "granite",
    make=lambda tools: JsonArrayParser(),
    shown_tokens=frozenset(OPENING + CLOSING),
    marks=(("<|tool_call|>",),),
)
