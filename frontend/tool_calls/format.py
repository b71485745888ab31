"""What is known of one form of tool calls. A plugin is an object of this type, see `registry.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frontend.answer_parts import OutputParser
from frontend.schema_chat import Tool


@dataclass(frozen=True)
class ToolCallFormat:
    """One form.

    `make`: a parser for one choice, given the tools on offer. `shown_tokens`: special tokens of the vocabulary that the
    parser must see. `marks`: a chat template teaches this form if it contains all texts of one of these groups.
    """

    name: str
    make: Callable[[Sequence[Tool]], OutputParser]
    shown_tokens: frozenset[str] = frozenset()
    marks: tuple[tuple[str, ...], ...] = ()

    def appears_in(self, template: str) -> bool:
        """Whether the template teaches this form."""
        return any(all(text in template for text in group) for group in self.marks)
