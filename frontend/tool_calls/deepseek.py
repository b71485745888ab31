"""DeepSeek's calls between special tokens: V3 and R1 put the type first and fence the JSON, V3.1 does neither."""

import re

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.json_call import JsonCallParser

_BAR, _GAP = "\uff5c", "\u2581"  # wide relatives of | and _


def _token(name: str) -> str:
    return f"<{_BAR}{name.replace('_', _GAP)}{_BAR}>"


CALLS, CALLS_END = _token("tool_calls_begin"), _token("tool_calls_end")
CALL, CALL_END, SEPARATOR = _token("tool_call_begin"), _token("tool_call_end"), _token("tool_sep")
_OPENING = Tags(CALLS, CALL)
_SEPARATOR = Tags(SEPARATOR)
_NAME = re.compile(r"[^\s`{<]*")


class DeepSeekParser(JsonCallParser):
    """CALL function SEPARATOR f newline ```json newline {...} newline ``` CALL_END (V3)
    or CALL f SEPARATOR {...} CALL_END (V3.1)."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        while tag := (yield from reader.upto(_OPENING, self._content)):
            reader.record(tag)
            yield from reader.space()
            if tag == CALLS and not (yield from reader.starts(CALL)):
                self._give_back()
            elif (yield from self._call()):
                yield from reader.space()
                yield from reader.starts(CALLS_END)
            else:
                self._give_back()

    def _call(self) -> Steps[bool]:
        reader = self._reader
        first: list[str] = []
        if not (yield from reader.upto(_SEPARATOR, first.append)):
            return False
        name = "".join(first).strip()
        yield from reader.space()
        if (yield from reader.peek()) != "{":
            second: list[str] = []
            yield from reader.matching(_NAME, second.append)
            name = "".join(second)
            yield from reader.space()
            yield from reader.starts("```")
            yield from reader.starts("json")
            yield from reader.space()
        if not name or (yield from reader.peek()) != "{":
            return False
        self._begin_call(name)
        if (yield from reader.json_value(self._arguments)):
            yield from reader.space()
            yield from reader.starts("```")
            yield from reader.space()
            yield from reader.starts(CALL_END)
        return True


DEEPSEEK = ToolCallFormat(
    "deepseek",
    make=lambda tools: DeepSeekParser(),
    shown_tokens=frozenset({CALLS, CALLS_END, CALL, CALL_END, SEPARATOR}),
    marks=((CALLS,),),
)
