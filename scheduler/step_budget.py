"""What is left of one step while it is being planned."""

from dataclasses import dataclass

from ipc.step_layout import MAX_HISTORY_TOKENS


@dataclass(slots=True)
class StepBudget:
    """Lives for one step. `tokens` bounds its computing time, `rows` the streams aboard."""

    tokens: int
    rows: int
    paced: int = 1 << 30  # tokens after which the step takes as long as it should: prefill ends there
    ends_with_prompt: bool = False  # rather than begin another prompt that will not be through
    history: int = MAX_HISTORY_TOKENS  # earlier tokens that rows with rules may bring along

    def can_add(self) -> bool:
        return self.tokens > 0 and self.rows > 0

    def takes_history(self, num_tokens: int) -> bool:
        """Counts a row's earlier tokens in. False: they do not fit this step any more; the first always do."""
        if num_tokens > self.history and self.history < MAX_HISTORY_TOKENS:
            return False
        self.history = max(0, self.history - num_tokens)
        return True

    def pace_prefill(self, least: int) -> None:
        """What comes from now on is prefill. It gets what the rows so far left of the step's time, and `least` anyhow:
        many decoding streams must not keep new ones out for ever."""
        self.tokens = min(self.tokens, max(self.paced, least))

    def add(self, tokens: int, rows: int = 1) -> None:
        self.tokens -= tokens
        self.paced -= tokens
        self.rows -= rows
