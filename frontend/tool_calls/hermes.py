"""<tool_call>{"name": "f", "arguments": {...}}</tool_call>: Hermes, Qwen 2.5 and 3, and the model we ship."""

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.json_call import JsonCallParser

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_OPENING = Tags(OPEN)


class HermesParser(JsonCallParser):
    """Several objects between one pair of tags are several calls; a missing closing tag is forgiven."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        while (yield from reader.upto(_OPENING, self._content)):
            reader.record(OPEN)
            yield from reader.space()
            if (yield from self._call_object()):
                yield from self._more_calls()
            else:
                self._give_back()

    def _more_calls(self) -> Steps[None]:
        reader = self._reader
        while True:
            reader.record()
            yield from reader.space()
            while (yield from reader.starts("}")):  # models lose count
                yield from reader.space()
            if (yield from reader.starts(CLOSE)):
                reader.recorded()
                return
            if not (yield from self._call_object()):
                self._give_back()
                return


HERMES = ToolCallFormat(
    "hermes",
    make=lambda tools: HermesParser(),
    shown_tokens=frozenset({OPEN, CLOSE}),
    marks=((OPEN,),),
)
