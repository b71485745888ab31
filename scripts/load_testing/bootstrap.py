"""How far a figure could have come out differently by chance: the bootstrap over the requests of one run. Pure.

Requests that run beside one another suffer the same slow moment, so neighbours (by the time they began) are drawn
together, in blocks of as many as were open at once. What differs from run to run and not within one (another hour on
a shared machine, another start of the server) is not in it: only runs in alternation show that.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scripts.load_testing.saved_run import Row

NUM_DRAWS = 200
LEAST_BLOCKS = 6  # of fewer there is nothing to draw from
Indexes = NDArray[np.int_]
Figure = Callable[[Sequence[Row]], Callable[[Indexes], float | None]]  # of a run's requests: a figure of some of them
Drawn = tuple[Sequence[Row], list[Indexes]]  # a run's requests, and what was drawn from them


def draws(rows: Sequence[Row], num_open: float, seed: int = 0) -> list[Indexes]:
    """Indexes into `rows` of each draw: as many requests, in blocks of neighbours. Empty: too few requests to tell."""
    size = max(1, math.ceil(num_open))
    if len(rows) < LEAST_BLOCKS * size:
        size = max(1, len(rows) // LEAST_BLOCKS)
    if len(rows) < LEAST_BLOCKS:
        return []
    source = np.random.default_rng(seed)
    num_blocks = math.ceil(len(rows) / size)
    starts = source.integers(0, len(rows), (NUM_DRAWS, num_blocks))
    blocks = (starts[:, :, None] + np.arange(size)) % len(rows)  # the last neighbours of all are the first ones
    return list(blocks.reshape(NUM_DRAWS, -1)[:, : len(rows)])


def interval_of_change(figure: Figure, before: Drawn, after: Drawn) -> tuple[float, float] | None:
    """Borders between which 95 % of the drawn relative changes (after / before - 1) lie; None: cannot be told."""
    changes = []
    of_before, of_after = figure(before[0]), figure(after[0])
    for chosen_before, chosen_after in zip(before[1], after[1], strict=False):
        old, new = of_before(chosen_before), of_after(chosen_after)
        if old and new is not None:
            changes.append(new / old - 1)
    if len(changes) < NUM_DRAWS / 2:
        return None
    low, high = np.percentile(changes, [2.5, 97.5]).tolist()
    return low, high
