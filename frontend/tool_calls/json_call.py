"""Calls written as JSON objects, {"name": ..., "arguments": {...}}: the part that many forms have in common.

Arguments go out as the model writes them, as soon as the name is known. Their JSON is not checked: what the model got
wrong, the client must see. An object that is no call stays recorded; the caller gives it back as content.
"""

from typing import Any

import orjson

from frontend.text_parser import TextParser
from frontend.text_reader import Steps

_ARGUMENTS = ("arguments", "parameters")


class JsonCallParser(TextParser):
    """Base of the parsers of such forms."""

    def _call_array(self, needs_arguments: bool = False) -> Steps[bool]:
        """Reads `[call, ...]`, which comes next; False if it holds something else. Records anew for each call."""
        reader = self._reader
        if not (yield from reader.starts("[")):
            return False
        while True:
            yield from reader.space()
            if not (yield from self._call_object(needs_arguments)):
                return False
            yield from reader.space()
            if (yield from reader.starts(",")):
                reader.record()
                continue
            yield from reader.starts("]")
            return True

    def _call_object(self, needs_arguments: bool = False) -> Steps[bool]:
        """Reads a call, if one comes next. Its arguments may be missing (they are {} then), unless `needs_arguments`.

        True: it was given out. False: no call, or the text ended before it was certain.
        """
        reader = self._reader
        name, held = "", ""
        has_begun = False
        if not (yield from reader.starts("{")):
            return False
        while True:
            yield from reader.space()
            if (yield from reader.starts("}")):
                break
            key = yield from self._key()
            if key is None:
                return has_begun
            if key == "name" and not has_begun:
                name = (yield from self._string()) or ""
                if not name:
                    return False
            elif key in _ARGUMENTS and name and not held and not has_begun and (yield from reader.peek()) == "{":
                self._begin_call(name)
                has_begun = True
                if not (yield from reader.json_value(self._arguments)):
                    return True
            else:
                read: list[str] = []
                if not (yield from reader.json_value(read.append)):
                    return has_begun
                if key in _ARGUMENTS and not held:
                    held = _plain_arguments("".join(read))
            if name and held and not has_begun:
                self._begin_call(name)
                self._arguments(held)
                has_begun = True
            yield from reader.space()
            yield from reader.starts(",")
        if name and not has_begun and not needs_arguments:
            self._begin_call(name)
            self._arguments("{}")
            has_begun = True
        return has_begun

    def _key(self) -> Steps[str | None]:
        """Reads a key and what follows up to its value; None if none comes."""
        key = yield from self._string()
        if key is None:
            return None
        yield from self._reader.space()
        if not (yield from self._reader.starts(":")):
            return None
        yield from self._reader.space()
        return key

    def _string(self) -> Steps[str | None]:
        """Reads a JSON string; None if none comes, or none that can be read."""
        if (yield from self._reader.peek()) != '"':
            return None
        read: list[str] = []
        if not (yield from self._reader.json_value(read.append)):
            return None
        text: Any = _loaded("".join(read))
        return text if isinstance(text, str) else None


def _plain_arguments(written: str) -> str:
    """Arguments that were not written as an object right after the name: null is none at all, JSON inside a JSON string
    is taken out of it."""
    if written in ("null", '""'):
        return "{}"
    text: Any = _loaded(written) if written.startswith('"') else None
    return text if isinstance(text, str) else written


def _loaded(text: str) -> Any:
    """None for what is no JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
