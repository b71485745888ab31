"""From a step's columns to torch inputs: positions, the plan of page reads and writes, the rows to sample.

Everything here is computed once a step and used by every layer. The columns belong to the scheduler's lease; what
is made here are copies or views that live as long as the step.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns
from workers.paged_attention.interface import AttentionPlan, PrefillRow
from workers.rows import is_decode, resolved_tokens, token_positions, token_rows

_SAMPLE = int(RowFlag.SAMPLE)
MAX_SINGLE_TOKENS = 1  # rows of at most so many new tokens are computed token by token, like decoding, unless told


@dataclass(frozen=True)
class GenerateBatch:
    """The torch inputs of one GENERATE step."""

    token_ids: torch.Tensor  # int64 [1, tokens]
    position_ids: torch.Tensor  # int64 [1, tokens]
    attention: AttentionPlan
    sample_rows: npt.NDArray[np.int64]  # [n] rows with SAMPLE
    sample_tokens: torch.Tensor  # int64 [n] flattened index of each such row's last token


def generate_batch(
    columns: StepColumns,
    card: ModelCard,
    last_token: npt.NDArray[np.int32],
    max_single_tokens: int = MAX_SINGLE_TOKENS,
) -> GenerateBatch:
    """The batch of a GENERATE step, checked before; `last_token` [slots] holds what each running slot drew before."""
    rows = np.arange(len(columns.num_new)) if is_decode(columns) else token_rows(columns.num_new)
    positions = token_positions(columns)
    tokens = resolved_tokens(columns, last_token).astype(np.int64)
    sample_rows = np.flatnonzero(columns.flags & _SAMPLE)
    last_indexes = rows if is_decode(columns) else np.cumsum(columns.num_new, dtype=np.int64) - 1
    return GenerateBatch(
        token_ids=torch.from_numpy(tokens)[None],
        position_ids=torch.from_numpy(positions)[None],
        attention=attention_plan(columns, card.block_size, rows, positions, max_single_tokens),
        sample_rows=sample_rows,
        sample_tokens=torch.from_numpy(last_indexes[sample_rows]),
    )


def attention_plan(
    columns: StepColumns,
    block_size: int,
    rows: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    max_single_tokens: int = MAX_SINGLE_TOKENS,
) -> AttentionPlan:
    """Where each of the step's tokens is written, and which tokens are computed how.

    Rows of at most `max_single_tokens` are computed token by token.
    """
    token_page = columns.block_tables[rows, positions // block_size].astype(np.int64)
    if is_decode(columns):
        return AttentionPlan(
            block_size=block_size,
            token_page=torch.from_numpy(token_page),
            token_offset=torch.from_numpy(positions % block_size),
            single_tokens=torch.from_numpy(rows),
            single_lengths=torch.from_numpy((positions + 1).astype(np.int32)),
            single_tables=torch.from_numpy(columns.block_tables.copy()),
            prefill_rows=(),
            singles_are_all=True,
        )
    is_single = columns.num_new <= max_single_tokens
    singles = np.flatnonzero(is_single[rows])
    return AttentionPlan(
        block_size=block_size,
        token_page=torch.from_numpy(token_page),
        token_offset=torch.from_numpy(positions % block_size),
        single_tokens=torch.from_numpy(singles),
        single_lengths=torch.from_numpy((positions[singles] + 1).astype(np.int32)),
        single_tables=torch.from_numpy(columns.block_tables[rows[singles]]),
        prefill_rows=_prefill_rows(columns, block_size, np.flatnonzero(~is_single)),
        singles_are_all=bool((columns.num_new <= 1).all()),
    )


def _prefill_rows(columns: StepColumns, block_size: int, rows: npt.NDArray[np.int64]) -> tuple[PrefillRow, ...]:
    firsts = np.cumsum(columns.num_new, dtype=np.int64) - columns.num_new
    prefill: list[PrefillRow] = []
    for row in rows.tolist():
        num_new, start = int(columns.num_new[row]), int(columns.start[row])
        num_pages = -(-(start + num_new) // block_size)
        pages = torch.from_numpy(columns.block_tables[row, :num_pages].astype(np.int64))
        prefill.append(PrefillRow(int(firsts[row]), num_new, start, pages))
    return tuple(prefill)
