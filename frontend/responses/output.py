"""From the news of an answer to output items and their events."""

from typing import Any

from frontend.answer_parts import CallArguments, CallBegin, Content, Part, Reasoning
from frontend.chat_answer import ChoiceNews
from frontend.logprobs_body import TokenNames, chat_logprobs
from frontend.responses.output_items import CallItem, Event, MessageItem, OutputItem, ReasoningItem, Status
from frontend.responses.text_tokens import TextTokens


class Output:
    """What a response has said so far. `names`: spells tokens; None when no logprobs are wanted. `num_top`:
    alternatives to each token."""

    def __init__(self, names: TokenNames | None, num_top: int) -> None:
        self._names = names
        self._num_top = num_top
        self._tokens = TextTokens()
        self._items: list[dict[str, Any]] = []  # those that are done
        self._open: OutputItem | None = None
        self._blank = ""  # white space between items: only text that goes on after it makes it part of a message

    def items(self) -> list[dict[str, Any]]:
        """All of them, the open one as it is now."""
        return self._items + ([self._open.as_dict("in_progress")] if self._open is not None else [])

    def push(self, news: ChoiceNews) -> list[Event]:
        """What the news say of the only choice."""
        if self._names is not None:
            self._tokens.add(news.tokens)
        events: list[Event] = []
        for part in news.parts:
            events += self._push(part)
        return events

    def finish(self, status: Status) -> list[Event]:
        """The end. An answer without anything is an empty message."""
        begun = self._begin(MessageItem(0)) if not self._items and self._open is None else []
        return begun + self._close(status)

    def _push(self, part: Part) -> list[Event]:
        match part:
            case Reasoning(text):
                events = [] if isinstance(self._open, ReasoningItem) else self._begin(ReasoningItem(self._next_index))
                self._pass_over(text)
                return [*events, self._add(text, [])]
            case Content(text):
                return self._push_text(text)
            case CallBegin(_, id, name):
                return self._begin(CallItem(self._next_index, id, name))
            case CallArguments(_, text):
                self._pass_over(text)
                return [self._add(text, [])]

    def _push_text(self, text: str) -> list[Event]:
        events: list[Event] = []
        if not isinstance(self._open, MessageItem):
            if text.isspace() and self._next_index > 0:
                self._blank += text
                return []
            events = self._begin(MessageItem(self._next_index))
        text, self._blank = self._blank + text, ""
        if not text:
            return events
        return [*events, self._add(text, self._logprobs(text))]

    def _pass_over(self, text: str) -> None:
        """Its tokens are no answer's: the same words may come again in what is."""
        if self._names is not None:
            self._tokens.take(text)

    def _logprobs(self, text: str) -> list[dict[str, Any]]:
        if self._names is None:
            return []
        entries: list[dict[str, Any]] = chat_logprobs(self._tokens.take(text), self._names, self._num_top)["content"]
        return entries

    @property
    def _next_index(self) -> int:
        return len(self._items) + (self._open is not None)

    def _begin(self, item: OutputItem) -> list[Event]:
        ended = self._close("completed")
        self._open = item
        return ended + item.begin()

    def _add(self, text: str, logprobs: list[dict[str, Any]]) -> Event:
        assert self._open is not None  # arguments come after the beginning of their call
        return self._open.add(text, logprobs)

    def _close(self, status: Status) -> list[Event]:
        if self._open is None:
            return []
        item, self._open = self._open, None
        self._items.append(item.as_dict(status))
        return item.end(status)
