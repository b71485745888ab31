"""The parser of one choice: its thinking first, then calls in what is left."""

from frontend.answer_parts import CallArguments, CallBegin, Content, OutputParser, Part, Reasoning


class AnswerParser:
    """Follows `answer_parts.OutputParser`. `reasoning` gives out thinking and content, `content` takes that content.

    `tells_reasoning` False: thinking is dropped. `one_call`: calls after the first are dropped.
    """

    def __init__(
        self, reasoning: OutputParser, content: OutputParser, tells_reasoning: bool = True, one_call: bool = False
    ) -> None:
        self._reasoning = reasoning
        self._content = content
        self._tells_reasoning = tells_reasoning
        self._one_call = one_call

    def push(self, text: str) -> list[Part]:
        return self._wanted(self._second(self._reasoning.push(text)))

    def finish(self) -> list[Part]:
        parts = self._second(self._reasoning.finish())
        return self._wanted(parts + self._content.finish())

    def _second(self, parts: list[Part]) -> list[Part]:
        found: list[Part] = []
        for part in parts:
            found += self._content.push(part.text) if isinstance(part, Content) else [part]
        return found

    def _wanted(self, parts: list[Part]) -> list[Part]:
        return [part for part in parts if self._is_wanted(part)]

    def _is_wanted(self, part: Part) -> bool:
        if isinstance(part, Reasoning):
            return self._tells_reasoning
        return not (self._one_call and isinstance(part, CallBegin | CallArguments) and part.number > 0)
