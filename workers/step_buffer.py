"""The inputs of decode steps at fixed addresses: filled on the host, sent to the device in one copy.

A graph reads its inputs where they lay when it was captured, so they must lie there in every step. The host's side is
page-locked where the device is a GPU: the copy then runs beside the host's work, and needs no copy in between.
"""

from dataclasses import dataclass

import numpy as np
import torch

from workers.batch import GenerateBatch
from workers.paged_attention.interface import AttentionPlan

_TOKEN, _POSITION, _PAGE, _OFFSET, _LENGTH = range(5)  # rows of the buffer; block tables follow
_NUM_ROWS = 5


@dataclass(frozen=True)
class StepBuffer:
    """Inputs of one decode step of up to `height` rows. Both tensors are int32 [(5 + table width) * height]."""

    height: int
    table_width: int
    host: torch.Tensor
    device: torch.Tensor

    def fill(self, batch: GenerateBatch) -> None:
        """Take a step of at most `height` rows of one token from the host, and send it.

        Rows that are missing become copies of the last one: they write the same keys and values to the same place, and
        touch nothing that is not the last row's own. What was sent before must have arrived.
        """
        count = len(batch.attention.token_page)
        columns, tables = self._parts(self.host)
        plan = batch.attention
        for place, values in (
            (_TOKEN, batch.token_ids[0]),
            (_POSITION, batch.position_ids[0]),
            (_PAGE, plan.token_page),
            (_OFFSET, plan.token_offset),
            (_LENGTH, plan.single_lengths),
        ):
            columns[place, :count] = values
            columns[place, count:] = values[-1]
        width = plan.single_tables.shape[1]
        tables[:count, :width] = plan.single_tables
        tables[count:, :width] = plan.single_tables[-1]
        tables[:, width:] = 0  # behind a row's pages stands anything that is a page
        self.device.copy_(self.host, non_blocking=True)

    def batch(self, block_size: int) -> GenerateBatch:
        """The step on the device, all rows sampled. Made of kernels only, which a graph can hold."""
        columns, tables = self._parts(self.device)
        every = torch.arange(self.height, device=self.device.device)
        plan = AttentionPlan(
            block_size=block_size,
            token_page=columns[_PAGE].long(),
            token_offset=columns[_OFFSET].long(),
            single_tokens=every,
            single_lengths=columns[_LENGTH],
            single_tables=tables,
            prefill_rows=(),
            singles_are_all=True,
        )
        tokens, positions = columns[_TOKEN].long()[None], columns[_POSITION].long()[None]
        return GenerateBatch(tokens, positions, plan, np.arange(self.height), every)

    def _parts(self, buffer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[5, height] and [height, table width], views."""
        border = _NUM_ROWS * self.height
        return buffer[:border].view(_NUM_ROWS, self.height), buffer[border:].view(self.height, self.table_width)


def step_buffer(height: int, table_width: int, device: torch.device) -> StepBuffer:
    """A buffer of zeros."""
    size = (_NUM_ROWS + table_width) * height
    host = torch.zeros(size, dtype=torch.int32, pin_memory=device.type == "cuda")
    return StepBuffer(height, table_width, host, torch.zeros(size, dtype=torch.int32, device=device))
