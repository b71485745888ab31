"""Memory for a step's rows, kept between steps: fresh large memory costs page faults at every step."""

import torch


class Scratch:
    """Rows of one width and type."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        self._rows = torch.empty(0, width, dtype=dtype)

    def rows(self, count: int) -> torch.Tensor:
        """[count, width] of the kept memory, set to nothing in particular.

        At the same address until a larger count is asked for.
        """
        if len(self._rows) < count:
            self._rows = torch.empty(count + count // 4, self._rows.shape[1], dtype=self._rows.dtype)
        return self._rows[:count]
