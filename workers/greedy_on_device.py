"""The likeliest tokens, found where the logits lie: n numbers come back from the device, not n times a vocabulary.

Exactly what `sampler.sample` gives for greedy rows: of equal logits the first token, -1 where there is none. Draws at
random stay on the host: their sums of probabilities would be rounded otherwise on another device, and a stream must get
the same token everywhere.
"""

import numpy as np
import numpy.typing as npt
import torch

from ipc.step_layout import RowStatus, StepColumns
from workers.sampler import GREEDY_BELOW, largest

_FINE, _FAILED = int(RowStatus.FINE), int(RowStatus.FAILED)  # looking up a member of an enum is slow


def greedy_tokens(logits: torch.Tensor) -> npt.NDArray[np.int32]:
    """[n] tokens for logits [n, vocab] on any device; -1 for a row whose largest logit is no finite number.

    Not `argmax`: which of equal values it names is left open on a GPU, and in bfloat16 equal ones are common.
    """
    highest = logits.amax(dim=-1, keepdim=True)  # not a number where one logit is none
    places = torch.arange(logits.shape[-1], dtype=torch.int32, device=logits.device)
    tokens = torch.where(logits == highest, places, logits.shape[-1]).amin(dim=-1)
    tokens = torch.where(torch.isfinite(highest[:, 0]), tokens, -1)
    found: npt.NDArray[np.int32] = tokens.to(torch.int32).cpu().numpy()
    return found


def is_all_greedy(columns: StepColumns, rows: npt.NDArray[np.int64]) -> bool:
    """No row of `rows` is drawn at random or tells log-probabilities. Rules and grammars are the caller's to know."""
    is_other = (columns.temperature[rows] >= GREEDY_BELOW) | (columns.num_logprobs[rows] >= 0)
    return not np.count_nonzero(is_other)


def draw_greedy(columns: StepColumns, rows: npt.NDArray[np.int64], logits: torch.Tensor) -> None:
    """`draw_rows` for rows of which `is_all_greedy` holds and that have no rules: logits [n, vocab] on any device."""
    columns.sampled[:] = -1
    columns.row_status[:] = _FINE
    if len(rows) == 0:
        return
    drawn = largest(logits) if logits.device.type == "cpu" else greedy_tokens(logits)
    columns.sampled[rows] = drawn
    is_broken = drawn < 0
    if np.count_nonzero(is_broken):
        columns.row_status[rows[is_broken]] = _FAILED
