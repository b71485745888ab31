"""What is known of one form of thinking. A plugin is an object of this type, see `registry.py`."""

from collections.abc import Callable
from dataclasses import dataclass

from frontend.answer_parts import OutputParser
from frontend.text_parser import PlainParser


@dataclass(frozen=True)
class ReasoningFormat:
    """One form.

    `make`: a parser for one choice that gives out thinking and content; its argument says that the prompt ended inside
    the thinking. `start` and `end`: tags around the thinking, "" where it has none. `shown_tokens` and `marks` as in
    `ToolCallFormat`. `always_opens`: the model thinks from its first token on, whatever the prompt ended with.
    """

    name: str
    make: Callable[[bool], OutputParser]
    start: str = ""
    end: str = ""
    shown_tokens: frozenset[str] = frozenset()
    marks: tuple[tuple[str, ...], ...] = ()
    always_opens: bool = False

    def appears_in(self, template: str) -> bool:
        """Whether the template belongs to a model that thinks in this form."""
        return any(all(text in template for text in group) for group in self.marks)

    def is_open_after(self, prompt: str) -> bool:
        """Whether a prompt ends inside the thinking."""
        return bool(self.start) and prompt.rstrip().endswith(self.start)


PLAIN = ReasoningFormat("none", make=lambda opens: PlainParser())
