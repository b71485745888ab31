"""A step between the host and the device that computes: its inputs go there, and its end is waited for.

On a CPU nothing is copied and nothing waited for.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from workers.batch import GenerateBatch
from workers.child_life import leave_at_once
from workers.paged_attention.interface import AttentionPlan

_logger = logging.getLogger("zerolane.workers.to_device")


@contextmanager
def finished_on(device: torch.device) -> Iterator[None]:
    """What is computed inside has been computed at the end: other workers may read the pages it wrote.

    Ends the process when the GPU reports an error: CUDA answers every later call of this process with the same one, so
    requests would fail one after the other, and a new worker serves them.
    """
    try:
        yield
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except torch.AcceleratorError as error:
        _logger.critical("the GPU has failed this process, which ends: %s", error)
        leave_at_once()


def batch_on(batch: GenerateBatch, device: torch.device) -> GenerateBatch:
    """The batch with all tensors on `device`; `sample_rows` stays an array of the host."""
    return replace(
        batch,
        token_ids=batch.token_ids.to(device),
        position_ids=batch.position_ids.to(device),
        attention=plan_on(batch.attention, device),
        sample_tokens=batch.sample_tokens.to(device),
    )


def plan_on(plan: AttentionPlan, device: torch.device) -> AttentionPlan:
    """The plan with all tensors on `device`; lengths that are Python's stay so."""
    return replace(
        plan,
        token_page=plan.token_page.to(device),
        token_offset=plan.token_offset.to(device),
        single_tokens=plan.single_tokens.to(device),
        single_lengths=plan.single_lengths.to(device),
        single_tables=plan.single_tables.to(device),
        prefill_rows=tuple(replace(row, pages=row.pages.to(device)) for row in plan.prefill_rows),
    )
