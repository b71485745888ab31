"""Log-probabilities on their way from a step's result columns to the frontends' records."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ipc.messages import PromptLogprobs
from ipc.step_layout import StepColumns


@dataclass(frozen=True)
class DrawnLogprobs:
    """Of the drawn tokens of n rows, k likeliest tokens each. Copies: the step's block may be released."""

    logprobs: npt.NDArray[np.float32]  # [n]
    ranks: npt.NDArray[np.int32]  # [n]
    top_ids: npt.NDArray[np.int32]  # [n, k]
    top_logprobs: npt.NDArray[np.float32]  # [n, k]

    @classmethod
    def of(cls, columns: StepColumns, rows: npt.NDArray[np.bool_]) -> "DrawnLogprobs":
        """Of these rows of a finished step."""
        return cls(columns.logprob[rows], columns.rank[rows], columns.top_ids[rows], columns.top_logprobs[rows])

    def columns(self, rows: npt.NDArray[np.bool_]) -> tuple[int, bytes, bytes, bytes, bytes]:
        """The last fields of a TokenBatch of these rows."""
        num_top = self.top_ids.shape[1]
        parts = (self.logprobs, self.ranks, self.top_ids, self.top_logprobs)
        logprobs, ranks, top_ids, top_logprobs = (part[rows].tobytes() for part in parts)
        return num_top, logprobs, ranks, top_ids, top_logprobs


def prompt_record(columns: StepColumns, first: int, num_told: int, stream_id: int) -> PromptLogprobs:
    """What one row tells: its tokens begin at `first` of the step's, and the first `num_told` of them have a next one
    in the prompt."""
    told = slice(first, first + num_told)
    row = int(np.searchsorted(np.cumsum(columns.num_new), first, side="right"))
    return PromptLogprobs(
        stream_id=stream_id,
        position=int(columns.start[row]) + 1,
        num_top=columns.prompt_top_ids.shape[1],
        logprobs=columns.prompt_logprob[told].tobytes(),
        ranks=columns.prompt_rank[told].tobytes(),
        top_ids=columns.prompt_top_ids[told].tobytes(),
        top_logprobs=columns.prompt_top_logprobs[told].tobytes(),
    )
