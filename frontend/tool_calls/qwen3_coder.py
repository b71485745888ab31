"""<tool_call><function=f><parameter=x>value</parameter></function></tool_call>: Qwen3-Coder and its followers."""

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.typed_call import TypedCallParser

OPEN, CLOSE = "<tool_call>", "</tool_call>"
FUNCTION, FUNCTION_END = "<function=", "</function>"
PARAMETER, PARAMETER_END = "<parameter=", "</parameter>"
_OPENING = Tags(OPEN, FUNCTION)
_NAME_END = Tags(">", "\n")
# a closing tag that the model forgot is noticed at the next tag that begins a line
_VALUE_END = Tags(PARAMETER_END, "\n" + PARAMETER, "\n" + FUNCTION_END)


class Qwen3CoderParser(TypedCallParser):
    """The outer tags may be missing."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        while tag := (yield from reader.upto(_OPENING, self._content)):
            reader.record(tag)
            if tag == OPEN:
                yield from reader.space()
                tag = yield from reader.starts(FUNCTION)
            name = yield from self._name() if tag == FUNCTION else self._nothing()
            if not name:
                self._give_back()
                continue
            self._begin_typed_call(name)
            if (yield from self._parameters()):
                self._end_typed_call()
            yield from reader.space()
            yield from reader.starts(CLOSE)

    def _name(self) -> Steps[str]:
        """Reads up to `>`; "" if there is none in the line."""
        read: list[str] = []
        end = yield from self._reader.upto(_NAME_END, read.append)
        return "".join(read).strip() if end == ">" else ""

    def _nothing(self) -> Steps[str]:
        yield from ()
        return ""

    def _parameters(self) -> Steps[bool]:
        """Reads all parameters and the function's end; False if the text ended first."""
        reader = self._reader
        tag = ""
        while True:
            if not tag:
                yield from reader.space()
                tag = yield from reader.starts(PARAMETER, FUNCTION_END)
            if not tag.endswith(PARAMETER):
                return bool(tag) or bool((yield from reader.peek()))
            name = yield from self._name()
            if not name:
                return bool((yield from reader.peek()))
            end = yield from self._value(name, _VALUE_END, trims_newlines=True)
            if not end:
                return False
            tag = "" if end == PARAMETER_END else end


QWEN3_CODER = ToolCallFormat(
    "qwen3_coder",
    make=Qwen3CoderParser,
    shown_tokens=frozenset({OPEN, CLOSE, FUNCTION, FUNCTION_END, PARAMETER, PARAMETER_END}),
    marks=((FUNCTION, PARAMETER),),
)
