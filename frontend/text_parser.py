"""The base of the output parsers: the text comes in pieces, a generator reads it, parts go out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from uuid import uuid4

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning
from frontend.text_reader import Steps, TextReader

NewId = Callable[[], str]


def new_call_id() -> str:
    """As OpenAI's look."""
    return f"call_{uuid4().hex}"


class TextParser(ABC):
    """Follows `answer_parts.OutputParser`. Subclasses write `_read`; they give out parts by the methods below."""

    def __init__(self, new_id: NewId = new_call_id) -> None:
        self._reader = TextReader()
        self._new_id = new_id
        self._parts: list[Part] = []
        self._texts: list[str] = []  # of the last part, as long as more of its kind come
        self._num_calls = 0
        self._after_call = False
        self._steps = self._read()

    @property
    def num_held(self) -> int:
        """Characters that may still become a tag."""
        return self._reader.num_held

    def push(self, text: str) -> list[Part]:
        self._reader.add(text)
        next(self._steps, None)
        return self._take()

    def finish(self) -> list[Part]:
        self._reader.end()
        next(self._steps, None)
        return self._take()

    @abstractmethod
    def _read(self) -> Steps[None]:
        """Reads the whole text."""

    def _content(self, text: str) -> None:
        """White space right after a call is nothing to read."""
        if self._after_call:
            text = text.lstrip()
        if text:
            self._after_call = False
            self._add(Content(text))

    def _reasoning(self, text: str) -> None:
        if text:
            self._add(Reasoning(text))

    def _begin_call(self, name: str, call_id: str = "") -> None:
        self._reader.recorded()  # it is a call: its text will not be needed as content
        self._add(CallBegin(self._num_calls, call_id or self._new_id(), name))
        self._num_calls += 1
        self._after_call = True

    def _arguments(self, text: str) -> None:
        """More of the arguments of the last call."""
        if text:
            self._add(CallArguments(self._num_calls - 1, text))

    def _give_back(self) -> None:
        """What was recorded is no call: it is content."""
        self._content(self._reader.recorded())

    def _add(self, part: Part) -> None:
        """Neighbours of a kind become one part."""
        if isinstance(part, CallBegin):
            self._join()
            self._parts.append(part)
            return
        if self._texts and type(self._parts[-1]) is not type(part):
            self._join()
        if not self._texts:
            self._parts.append(part)
        self._texts.append(part.text)

    def _join(self) -> None:
        if len(self._texts) > 1:
            last = self._parts[-1]
            assert not isinstance(last, CallBegin)
            self._parts[-1] = last._replace(text="".join(self._texts))
        self._texts.clear()

    def _take(self) -> list[Part]:
        self._join()
        parts, self._parts = self._parts, []
        return parts


class PlainParser:
    """Follows `answer_parts.OutputParser`: all text is content."""

    def push(self, text: str) -> list[Part]:
        return [Content(text)] if text else []

    def finish(self) -> list[Part]:
        return []
