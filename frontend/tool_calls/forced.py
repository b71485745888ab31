"""Calls that the request forces: plain JSON, made certain by a grammar, whatever form the model was taught."""

from frontend.text_parser import TextParser
from frontend.text_reader import Steps
from frontend.tool_calls.json_call import JsonCallParser


class RequiredCallsParser(JsonCallParser):
    """[{"name": "f", "parameters": {...}}, ...]. Anything else is content: without the grammar's end (the output's
    length ran out), or beyond the first object of an array cut short."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        reader.record()
        yield from reader.space()
        if (yield from self._call_array()):
            yield from reader.space()
        else:
            self._give_back()
        yield from reader.rest(self._content)


class NamedCallParser(TextParser):
    """The whole text is the arguments of one call of the tool `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def _read(self) -> Steps[None]:
        yield from self._reader.space()
        if (yield from self._reader.peek()):
            self._begin_call(self._name)
            yield from self._reader.json_value(self._arguments)
