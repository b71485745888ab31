"""[TOOL_CALLS]: Mistral's two forms, [{"name": "f", "arguments": {...}}, ...] and the newer f[ARGS]{...}."""

import re
import secrets
import string

from frontend.text_reader import Steps, Tags
from frontend.tool_calls.format import ToolCallFormat
from frontend.tool_calls.json_call import JsonCallParser

TAG, CALL_ID, ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"
_TAG = Tags(TAG)
_NAME = re.compile(r"[\w.:-]*")
_ID_LETTERS = string.ascii_letters + string.digits


def new_call_id() -> str:
    """Mistral's templates refuse other ids than nine letters or digits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(9))


class MistralParser(JsonCallParser):
    """Arrays and named calls may even alternate."""

    def __init__(self) -> None:
        super().__init__(new_call_id)

    def _read(self) -> Steps[None]:
        reader = self._reader
        while (yield from reader.upto(_TAG, self._content)):
            reader.record(TAG)
            yield from reader.space()
            is_array = (yield from reader.peek()) == "["
            if not (yield from self._call_array() if is_array else self._named_call()):
                self._give_back()

    def _named_call(self) -> Steps[bool]:
        """f{...}, f[ARGS]{...} or f[CALL_ID]123456789[ARGS]{...}"""
        reader = self._reader
        name: list[str] = []
        call_id: list[str] = []
        yield from reader.matching(_NAME, name.append)
        if (yield from reader.starts(CALL_ID, ARGS)) == CALL_ID:
            yield from reader.matching(_NAME, call_id.append)
            yield from reader.starts(ARGS)
        yield from reader.space()
        if not name or (yield from reader.peek()) != "{":
            return False
        self._begin_call("".join(name), "".join(call_id))
        yield from reader.json_value(self._arguments)
        return True


MISTRAL = ToolCallFormat(
    "mistral",
    make=lambda tools: MistralParser(),
    shown_tokens=frozenset({TAG, CALL_ID, ARGS}),
    marks=((TAG,),),
)
