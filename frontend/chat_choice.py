"""One choice of a chat answer: the text of its stream, taken apart by its parser."""

from collections.abc import Callable
from typing import NamedTuple

from frontend.answer_parts import CallArguments, CallBegin, Content, OutputParser, Part, Reasoning
from frontend.output_tokens import OutputToken
from frontend.text_parser import PlainParser
from frontend.token_stream import TokenStream


class FinishedCall(NamedTuple):
    """One tool call of a finished choice; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class ChoiceNews(NamedTuple):
    """What came of one choice since its last news. The last news of a choice have a finish reason."""

    choice: int
    parts: list[Part]
    tokens: list[OutputToken]  # empty unless logprobs were asked for
    finish_reason: str | None  # stop, length, tool_calls, abort
    stop_reason: str | int | None  # the stop string or stop token id that ended it
    token_ids: list[int]  # empty unless they were asked for (`return_token_ids`)


class ChoiceResult(NamedTuple):
    """One finished choice. `parts` are all of them in their order, neighbours of a kind joined."""

    choice: int
    parts: list[Part]
    content: str | None  # None: the answer has calls or thinking, and nothing to read
    reasoning: str | None
    calls: list[FinishedCall]
    tokens: list[OutputToken]  # empty unless logprobs were asked for
    token_ids: list[int]
    finish_reason: str
    stop_reason: str | int | None


class ChatChoice:
    """`named`: from the engine's finish reason and the number of calls to the reason clients are told. `echo`: a text
    that stands before the answer."""

    def __init__(
        self,
        stream: TokenStream,
        parser: OutputParser,
        named: Callable[[str, int], str],
        echo: str = "",
        tells_token_ids: bool = False,
    ) -> None:
        self.stream = stream
        self._parser = parser
        self.is_plain = type(parser) is PlainParser and not echo  # its stream's text is its content
        self._named = named
        self._parts: list[Part] = [Content(echo)] if echo else []  # not given out yet
        self._num_calls = 0
        self._tells_token_ids = tells_token_ids
        self._num_told = 0  # tokens whose ids were given out

    def news(self) -> ChoiceNews | None:
        """What came since the last news; None if all of it is held back. With the end of the stream there are news."""
        self._parse()
        reason = self.stream.finish_reason
        if not self._parts and reason is None:
            return None
        parts, self._parts = self._parts, []
        return ChoiceNews(
            choice=self.stream.choice,
            parts=parts,
            tokens=self.stream.take_tokens(),
            finish_reason=None if reason is None else self._named(reason, self._num_calls),
            stop_reason=self.stream.stop_reason,
            token_ids=self._new_token_ids(),
        )

    def result(self, choice: int) -> ChoiceResult:
        """All of it, when the stream has ended. `choice`: its place in the reply."""
        self._parse()
        content = "".join(part.text for part in self._parts if isinstance(part, Content))
        thoughts = [part.text for part in self._parts if isinstance(part, Reasoning)]
        calls = finished_calls(self._parts)
        return ChoiceResult(
            choice=choice,
            parts=joined(self._parts),
            content=content if content or not (calls or thoughts) else None,
            reasoning="".join(thoughts) if thoughts else None,
            calls=calls,
            tokens=self.stream.take_tokens(),
            token_ids=self.stream.token_ids(),
            finish_reason=self._named(self.stream.finish_reason or "stop", self._num_calls),
            stop_reason=self.stream.stop_reason,
        )

    def _parse(self) -> None:
        """Moves the stream's new text to the parts."""
        text = self.stream.take_text()
        parts = self._parser.push(text)
        if self.stream.finish_reason is not None:
            parts = parts + self._parser.finish()
        self._num_calls += sum(isinstance(part, CallBegin) for part in parts)
        self._parts += parts

    def _new_token_ids(self) -> list[int]:
        if not self._tells_token_ids:
            return []
        new = self.stream.token_ids(self._num_told)
        self._num_told += len(new)
        return new


def joined(parts: list[Part]) -> list[Part]:
    """The same answer with as few parts as possible."""
    result: list[Part] = []
    for part in parts:
        last = result[-1] if result else None
        if isinstance(part, Content) and isinstance(last, Content):
            result[-1] = Content(last.text + part.text)
        elif isinstance(part, Reasoning) and isinstance(last, Reasoning):
            result[-1] = Reasoning(last.text + part.text)
        elif isinstance(part, CallArguments) and isinstance(last, CallArguments) and part.number == last.number:
            result[-1] = CallArguments(part.number, last.text + part.text)
        else:
            result.append(part)
    return result


def finished_calls(parts: list[Part]) -> list[FinishedCall]:
    """The calls among the parts of a whole answer, in the order in which they began."""
    begun = [part for part in parts if isinstance(part, CallBegin)]
    arguments: dict[int, list[str]] = {part.number: [] for part in begun}
    for part in parts:
        if isinstance(part, CallArguments):
            arguments[part.number].append(part.text)
    return [FinishedCall(part.id, part.name, "".join(arguments[part.number])) for part in begun]
