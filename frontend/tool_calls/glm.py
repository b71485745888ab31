"""<tool_call>f<arg_key>x</arg_key><arg_value>value</arg_value></tool_call>: GLM 4.5 and later."""

import re

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.typed_call import TypedCallParser

OPEN, CLOSE = "<tool_call>", "</tool_call>"
KEY, KEY_END, VALUE, VALUE_END = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"
_OPENING = Tags(OPEN)
_KEY_END = Tags(KEY_END)
_VALUE_END = Tags(VALUE_END)
_NAME = re.compile(r"[\w.:-]*")


class GlmParser(TypedCallParser):
    """Newlines between the tags mean nothing."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        while (yield from reader.upto(_OPENING, self._content)):
            reader.record(OPEN)
            name: list[str] = []
            yield from reader.space()
            yield from reader.matching(_NAME, name.append)
            yield from reader.space()
            tag = yield from reader.starts(KEY, CLOSE)
            if not name or not tag:
                self._give_back()
                continue
            self._begin_typed_call("".join(name))
            if tag == CLOSE or (yield from self._pairs()):
                self._end_typed_call()

    def _pairs(self) -> Steps[bool]:
        """Reads everything after the first <arg_key> and the closing tag; False if the text ended first."""
        reader = self._reader
        while True:
            key: list[str] = []
            if not (yield from reader.upto(_KEY_END, key.append)):
                return False
            yield from reader.space()
            yield from reader.starts(VALUE)
            if not (yield from self._value("".join(key).strip(), _VALUE_END, trims_newlines=False)):
                return False
            yield from reader.space()
            if not (yield from reader.starts(KEY)):
                is_closed = bool((yield from reader.starts(CLOSE)))
                return is_closed or bool((yield from reader.peek()))


GLM = ToolCallFormat(
    "glm",
    make=GlmParser,
    shown_tokens=frozenset({OPEN, CLOSE, KEY, KEY_END, VALUE, VALUE_END}),
    marks=((KEY, VALUE),),
)
