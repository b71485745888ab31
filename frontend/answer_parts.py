"""What a chat answer consists of, in the order it comes, and the interface of what finds it in a model's text."""

from typing import NamedTuple, Protocol


class Content(NamedTuple):
    """Text for the reader."""

    text: str


class Reasoning(NamedTuple):
    """Text of the model's thinking."""

    text: str


class CallBegin(NamedTuple):
    """A tool call begins; `number` counts the calls of the choice from 0."""

    number: int
    id: str
    name: str


class CallArguments(NamedTuple):
    """More of the JSON text of a call's arguments. All of a call together are valid JSON, unless its length ran out."""

    number: int
    text: str


Part = Content | Reasoning | CallBegin | CallArguments


class OutputParser(Protocol):
    """Watches the text of one choice. The parts do not depend on how the text was divided."""

    def push(self, text: str) -> list[Part]:
        """The parts that are certain now; whatever could still become a tag is held back."""

    def finish(self) -> list[Part]:
        """What is left when the text has ended. Called once."""
