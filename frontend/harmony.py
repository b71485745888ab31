"""gpt-oss' answers: messages with a header each, on channels. Thinking, calls and content come from one parser.

<|channel|>analysis<|message|>thinking<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json
<|message|>{...}<|call|> or ...<|start|>assistant<|channel|>final<|message|>content<|return|>
"""

import re

from frontend.answer_parts import OutputParser
from frontend.reasoning.format import ReasoningFormat
from frontend.text_parser import PlainParser, TextParser
from frontend.text_reader import Sink, Steps, Tags
from frontend.tool_calls.format import ToolCallFormat

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
_HEADER_END = Tags(MESSAGE)
_BODY_END = Tags(END, CALL, RETURN, START)
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.:-]+)")
_CHANNEL = re.compile(re.escape(CHANNEL) + r"\s*(\w+)")


class HarmonyParser(TextParser):
    """The text begins in the header of the answer's first message. Text that begins with no header is content."""

    def __init__(self, opens: bool) -> None:
        self._opens = opens  # the prompt ends inside a message of the analysis channel
        super().__init__()

    def _read(self) -> Steps[None]:
        reader = self._reader
        tag = START
        if self._opens:
            tag = yield from reader.upto(_BODY_END, self._reasoning)
        else:
            reader.record()
            yield from reader.space()
            begin = yield from reader.starts(CHANNEL, START, "to=", MESSAGE)
            if not begin:
                self._give_back()
                yield from reader.rest(self._content)
                return
            yield from self._message(begin)
        while tag:
            yield from reader.space()
            if not (yield from reader.peek()):
                return
            yield from self._message("")

    def _message(self, begin: str) -> Steps[None]:
        """Reads one message, of whose header `begin` is read already."""
        reader = self._reader
        header = [begin]
        if begin != MESSAGE and not (yield from reader.upto(_HEADER_END, header.append)):
            return  # the output's length ran out in a header: nobody is to see it
        sink, needs_json = self._sink_of("".join(header))
        if needs_json:
            yield from reader.space()
            if (yield from reader.peek()) == "{":
                yield from reader.json_value(sink)
                sink = _drop
            elif (yield from reader.starts(CALL)):
                sink("{}")
                return
        yield from reader.upto(_BODY_END, sink)

    def _sink_of(self, header: str) -> tuple[Sink, bool]:
        """Where the body of a message goes, and whether it should be JSON."""
        recipient = _RECIPIENT.search(header)
        if recipient is not None:
            self._begin_call(recipient[1])
            return self._arguments, True
        channel = _CHANNEL.search(header)
        return self._reasoning if channel is not None and channel[1] == "analysis" else self._content, False


def _drop(text: str) -> None:
    """What follows the JSON of a call."""


_SHOWN = frozenset({START, CHANNEL, MESSAGE, CONSTRAIN, END, CALL, RETURN})
_MARKS = ((CHANNEL, MESSAGE, "analysis"),)


def _make(opens: bool) -> OutputParser:
    return HarmonyParser(opens)


HARMONY = ReasoningFormat("harmony", make=_make, shown_tokens=_SHOWN, marks=_MARKS)
# the calls have been found already when the content arrives
HARMONY_CALLS = ToolCallFormat("harmony", make=lambda tools: PlainParser(), shown_tokens=_SHOWN, marks=_MARKS)
