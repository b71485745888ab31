"""How long each text is: always the same, or drawn from a log-normal distribution like ShareGPT's. Pure, repeatable.

ShareGPT's conversations are many short ones and a few very long ones. Their means, as published with vLLM, are 161
tokens in and 338 out; a log-normal distribution with a sigma of 1.2 (prompts) and 0.9 (answers) has such a long tail:
its mean is 2.1 and 1.5 times its median. Drawn lengths lie between 1/16 and 8 times the mean; what falls outside is
set to the border, which takes a few percent off the mean.
"""

import math
import random

from msgspec import Struct

SMALLEST_SHARE, LARGEST_SHARE = 1 / 16, 8.0


class Lengths(Struct, frozen=True):
    """A distribution of lengths in tokens. A spread of 0: every length is the mean."""

    mean: int
    spread: float

    @property
    def median(self) -> float:
        return self.mean * math.exp(-(self.spread**2) / 2)

    def draw(self, source: random.Random) -> int:
        """One length, at least 1."""
        if self.spread == 0:
            return self.mean
        drawn = source.lognormvariate(math.log(self.median), self.spread)
        return max(1, round(min(max(drawn, self.mean * SMALLEST_SHARE), self.mean * LARGEST_SHARE)))
