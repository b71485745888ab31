"""{"name": "f", "parameters": {...}}; {...}: Llama 3.1 and later, after <|python_tag|> or at the very beginning."""

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.json_call import JsonCallParser

TAG = "<|python_tag|>"
_TAG = Tags(TAG)


class Llama3JsonParser(JsonCallParser):
    """A JSON object that has no name and arguments is an answer, not a call."""

    def _read(self) -> Steps[None]:
        reader = self._reader
        reader.record()
        yield from reader.space()
        yield from self._calls()
        while (yield from reader.upto(_TAG, self._content)):
            reader.record(TAG)
            yield from reader.space()
            yield from self._calls()

    def _calls(self) -> Steps[None]:
        """Calls with semicolons between them, as many as come next."""
        reader = self._reader
        while (yield from self._call_object(needs_arguments=True)):
            reader.record()
            yield from reader.space()
            if (yield from reader.starts(";")):
                reader.record()
                yield from reader.space()
        self._give_back()


LLAMA3_JSON = ToolCallFormat(
    "llama3_json",
    make=lambda tools: Llama3JsonParser(),
    shown_tokens=frozenset({TAG}),
    marks=((TAG,), ('{"name": function name, "parameters":',)),
)
