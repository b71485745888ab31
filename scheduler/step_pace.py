"""How many tokens a step may bring so that it takes about the wanted time on this machine.

Prompts are cut into such chunks: everybody who decodes waits for no more than one of them, and a prompt that is through
gets its first token at once instead of with all that came after it. Products of a few hundred rows run near the
machine's rate already, so larger steps gain next to nothing.
"""

from dataclasses import dataclass, field

FEWEST_TOKENS = 128  # below, products run under the machine's rate, and prefill would take longer in all
TELLING_TOKENS = 64  # steps of fewer say nothing about prefill
ROUND_TO = 32  # kernels like full tiles of rows
NEWEST = 0.3  # weight of the newest step in the rate


@dataclass
class StepPace:
    """One for all workers; rates are kept a model, in seconds a token."""

    target_s: float  # 0: no limit
    _seconds_per_token: dict[int, float] = field(default_factory=dict)

    def saw(self, model: int, num_tokens: int, seconds: float) -> None:
        """A step took so long."""
        if num_tokens < TELLING_TOKENS:
            return
        cost = seconds / num_tokens
        usual = self._seconds_per_token.get(model, cost)
        self._seconds_per_token[model] = usual + NEWEST * (cost - usual)

    def tokens(self, model: int, most: int, patience: float = 1.0) -> int:
        """What the model's next step may bring, at most `most`, in so many times the wanted time. Before anything was
        measured: twice the fewest.
        """
        if self.target_s == 0:
            return most
        cost = self._seconds_per_token.get(model)
        fit = 2 * FEWEST_TOKENS if cost is None else int(patience * self.target_s / cost)
        return min(most, max(FEWEST_TOKENS, fit - fit % ROUND_TO))
