"""What is left of one step while it is being planned."""

from dataclasses import dataclass


@dataclass(slots=True)
class StepBudget:
    """Lives for one step. `tokens` bounds its computing time, `rows` the streams aboard."""

    tokens: int
    rows: int

    def can_add(self) -> bool:
        return self.tokens > 0 and self.rows > 0

    def add(self, tokens: int, rows: int = 1) -> None:
        self.tokens -= tokens
        self.rows -= rows
