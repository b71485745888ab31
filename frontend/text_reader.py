"""Reading a text that is still coming, in code that looks as if all of it were there.

A parser is a generator: it yields where it needs more text, and is resumed when there is more or the text has ended.
The methods here decide nothing before the text allows only one decision, so what a parser finds does not depend on how
the text was divided. What is read is consumed at once, except the few characters that may become a tag: the work is
linear in the text, however long it goes on without a closing tag.
"""

import json
import re
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
Sink = Callable[[str], None]

_SPACE = re.compile(r"\s*")
_JSON_MARK = re.compile(r'["{}\[\]]')
_STRING_MARK = re.compile(r'["\\]')
_SCALAR = re.compile(r"[-+.0-9A-Za-z]*")
_CONTROL = re.compile(r"[\x00-\x1f]")


class Tags:
    """Some tags, none of them the beginning of another."""

    def __init__(self, *tags: str) -> None:
        self._tags = tags
        self._pattern = re.compile("|".join(re.escape(tag) for tag in tags) if tags else r"(?!)")
        self._first = re.compile("|".join({re.escape(tag[0]) for tag in tags}) if tags else r"(?!)")
        self._longest = max((len(tag) for tag in tags), default=0)

    def find(self, text: str, start: int) -> re.Match[str] | None:
        """The first tag at or after `start`."""
        return self._pattern.search(text, start)

    def undecided(self, text: str, start: int) -> int:
        """Where the end of `text` begins that may still become a tag; its length if there is none."""
        place = max(start, len(text) - self._longest + 1)
        while first := self._first.search(text, place):
            tail = text[first.start() :]
            if any(tag.startswith(tail) for tag in self._tags):
                return first.start()
            place = first.end()
        return len(text)


class TextReader:
    """The text that has come and was not consumed yet. `recorded` gives back what was consumed since `record`."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._has_ended = False
        self._record: list[str] | None = None

    @property
    def num_held(self) -> int:
        """Characters that have come and were not consumed: between calls never more than the longest tag has."""
        return len(self._text) - self._at

    def add(self, text: str) -> None:
        """More text has come."""
        self._text = self._text[self._at :] + text
        self._at = 0

    def end(self) -> None:
        """No more will come: from now on nothing waits."""
        self._has_ended = True

    def record(self, begins_with: str = "") -> None:
        """From now on remember what is consumed; `begins_with` was consumed just before."""
        self._record = [begins_with]

    def recorded(self) -> str:
        """What was consumed since `record`; ends the recording."""
        text, self._record = "".join(self._record or ()), None
        return text

    def peek(self) -> Steps[str]:
        """The next character; "" at the end."""
        while self._at == len(self._text):
            if self._has_ended:
                return ""
            yield
        return self._text[self._at]

    def starts(self, *options: str) -> Steps[str]:
        """Consumes one of `options` if it comes next: the one that does, or ""."""
        while True:
            for option in options:
                if self._text.startswith(option, self._at):
                    return self._consume(self._at + len(option))
            rest = self._text[self._at : self._at + max(map(len, options))]
            if self._has_ended or not any(option.startswith(rest) for option in options):
                return ""
            yield

    def matching(self, pattern: re.Pattern[str], sink: Sink | None = None) -> Steps[None]:
        """Consumes as much as `pattern`, a class of characters with a star, matches."""
        while True:
            match = pattern.match(self._text, self._at)
            if match is not None and match.end() > self._at:
                read = self._consume(match.end())
                if sink is not None:
                    sink(read)
            if self._at < len(self._text) or self._has_ended:
                return
            yield

    def space(self) -> Steps[None]:
        """Consumes white space."""
        yield from self.matching(_SPACE)

    def upto(self, tags: Tags, sink: Sink) -> Steps[str]:
        """Consumes everything up to the next tag into `sink`, and the tag: the result; "" if the text ended first."""
        while True:
            match = tags.find(self._text, self._at)
            end = match.start() if match else len(self._text)
            if match is None and not self._has_ended:
                end = tags.undecided(self._text, self._at)
            if end > self._at:
                sink(self._consume(end))
            if match is not None:
                return self._consume(match.end())
            if self._has_ended:
                return ""
            yield

    def rest(self, sink: Sink) -> Steps[None]:
        """Consumes everything."""
        yield from self.upto(NO_TAGS, sink)

    def json_value(self, sink: Sink) -> Steps[bool]:
        """Consumes one JSON value into `sink` as it is written, but control characters inside strings, which JSON
        forbids and models write, are escaped. False if the text ended first, or no value comes."""
        first = yield from self.peek()
        if first == '"':
            sink(self._consume(self._at + 1))
            return (yield from self._string_rest(sink))
        if not first or first not in "{[":
            yield from self.matching(_SCALAR, sink)
            return bool(_SCALAR.fullmatch(first) and first)
        return (yield from self._brackets(sink))

    def _brackets(self, sink: Sink) -> Steps[bool]:
        """Objects and arrays are not recursed into: nesting costs nothing."""
        depth = 0
        while True:
            match = _JSON_MARK.search(self._text, self._at)
            end = match.end() if match else len(self._text)
            if end > self._at:
                sink(self._consume(end))
            if match is None:
                if self._has_ended:
                    return False
                yield
            elif match[0] == '"':
                if not (yield from self._string_rest(sink)):
                    return False
            else:
                depth += 1 if match[0] in "{[" else -1
                if depth == 0:
                    return True

    def _string_rest(self, sink: Sink) -> Steps[bool]:
        """Consumes a JSON string after its opening quote."""
        while True:
            match = _STRING_MARK.search(self._text, self._at)
            is_escape = match is not None and match[0] == "\\"
            end = match.end() if match and not is_escape else match.start() if match else len(self._text)
            if end > self._at:
                sink(_CONTROL.sub(_escaped, self._consume(end)))
            if match is not None and not is_escape:
                return True
            if is_escape and (len(self._text) - self._at >= 2 or self._has_ended):
                sink(_CONTROL.sub(_escaped, self._consume(min(self._at + 2, len(self._text)))))
                continue
            if self._has_ended:
                return False
            yield

    def _consume(self, end: int) -> str:
        read = self._text[self._at : end]
        self._at = end
        if self._record is not None:
            self._record.append(read)
        return read


NO_TAGS = Tags()


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
