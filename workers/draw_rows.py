"""The end of a step: from the logits of the rows that are sampled to their result columns.

Rules and grammars change logits, then tokens are drawn; log-probabilities are those of the logits before all that.
What a row gets depends on its own logits, columns, rules and tokens only.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from ipc.step_layout import RowStatus, StepColumns
from workers.grammar_masks import RowMask
from workers.logit_rules import apply_rules
from workers.logprobs import logprobs_of
from workers.rules_of_rows import RuledRow
from workers.sampler import SamplingColumns, sample


def draw_rows(
    columns: StepColumns,
    rows: npt.NDArray[np.int64],
    logits: torch.Tensor,
    ruled: Sequence[RuledRow],
    masks: Sequence[RowMask],
) -> None:
    """Write the results of `rows` [n], ascending, drawn from logits [n, vocab] on the host, which may be changed.

    `ruled` and `masks` belong to any rows of the step; those that are not among `rows` are passed over.
    """
    columns.sampled[:] = -1
    columns.row_status[:] = RowStatus.FINE
    if len(rows) == 0:
        return
    logits = logits.float().contiguous()
    told = np.flatnonzero(columns.num_logprobs[rows] >= 0)
    own = logits[torch.from_numpy(told)]  # a copy: what follows changes logits
    is_sound = _restrict(logits.numpy(), rows, ruled, masks)
    drawn = sample(logits, _sampling(columns, rows))
    columns.sampled[rows] = drawn
    columns.row_status[rows] = np.where(drawn < 0, RowStatus.FAILED, RowStatus.FINE)
    for mask in masks:  # nothing is left that the grammar allows
        if columns.sampled[mask.row] < 0 and is_sound[mask.row]:
            columns.row_status[mask.row] = mask.status_of_none
    has_token = drawn[told] >= 0
    _write_logprobs(columns, rows[told[has_token]], own[torch.from_numpy(has_token)])


def _restrict(
    logits: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    ruled: Sequence[RuledRow],
    masks: Sequence[RowMask],
) -> dict[int, bool]:
    """Apply rules and masks, in place; whether the logits of each masked row were numbers before."""
    place_of = {row: place for place, row in enumerate(rows.tolist())}
    is_sound = {mask.row: bool(np.isfinite(logits[place_of[mask.row]].max())) for mask in masks}
    drawn = [row for row in ruled if row.row in place_of]
    if drawn:
        apply_rules(logits, [place_of[row.row] for row in drawn], drawn)
    for mask in masks:
        np.copyto(logits[place_of[mask.row]], -np.inf, where=~mask.allowed)
    return is_sound


def _sampling(columns: StepColumns, rows: npt.NDArray[np.int64]) -> SamplingColumns:
    return SamplingColumns(
        columns.temperature[rows],
        columns.top_k[rows],
        columns.top_p[rows],
        columns.min_p[rows],
        columns.seed[rows],
        (columns.start[rows] + columns.num_new[rows]).astype(np.int64),
    )


def _write_logprobs(columns: StepColumns, rows: npt.NDArray[np.int64], own: torch.Tensor) -> None:
    if len(rows) == 0:
        return
    found = logprobs_of(own, columns.sampled[rows], columns.header.shape.num_top)
    columns.logprob[rows] = found.logprob
    columns.rank[rows] = found.rank
    columns.top_ids[rows] = found.top_ids
    columns.top_logprobs[rows] = found.top_logprobs
