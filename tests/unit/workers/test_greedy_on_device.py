"""Greedy tokens found on the device are those of the host's sampler, to the last tie."""

import numpy as np
import pytest
import torch

from ipc.step_layout import StepKind, StepShape
from tests.parity.plan_driver import make_columns
from workers.draw_rows import draw_rows
from workers.greedy_on_device import draw_greedy, greedy_tokens, is_all_greedy
from workers.sampler import SamplingColumns, sample

INF, NAN = float("inf"), float("nan")


def on_host(logits: torch.Tensor) -> list[int]:
    count = len(logits)
    zeros, ones = np.zeros(count, np.float32), np.ones(count, np.float32)
    numbers = np.zeros(count, np.int64)
    drawn = sample(logits, SamplingColumns(zeros, np.zeros(count, np.int32), ones, zeros, numbers, numbers))
    return [int(token) for token in drawn]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equal_logits_name_the_first_token(dtype: torch.dtype) -> None:
    source = torch.Generator().manual_seed(3)
    logits = torch.randint(-3, 4, (64, 50), generator=source).to(dtype)  # hardly a row without ties
    assert greedy_tokens(logits).tolist() == on_host(logits)


def test_rows_that_are_no_numbers_have_no_token() -> None:
    rows = [
        [0.0, NAN, 5.0],
        [NAN, INF, 0.0],
        [-INF, -INF, -INF],
        [1.0, INF, INF],
        [-INF, -2.0, -INF],
        [-0.0, 0.0, -1.0],
    ]
    logits = torch.tensor(rows)
    assert greedy_tokens(logits).tolist() == on_host(logits) == [-1, -1, -1, -1, 1, 0]


def test_a_steps_result_columns_are_those_of_the_hosts_draw() -> None:
    logits = torch.tensor([[0.0, 2.0, 2.0], [1.0, float("nan"), 0.0], [3.0, 0.0, 0.0]])
    found, expected = [make_columns(StepShape(StepKind.GENERATE, 4, 4, 1)) for _ in range(2)]
    rows = np.array([0, 2, 3])
    for columns in (found, expected):
        columns.num_logprobs[:] = -1
        columns.top_p[:] = 1.0
    assert is_all_greedy(found, rows)
    draw_greedy(found, rows, logits)
    draw_rows(expected, rows, logits, [], [])
    assert found.sampled.tolist() == expected.sampled.tolist() == [1, -1, -1, 0]
    assert found.row_status.tolist() == expected.row_status.tolist()
    found.temperature[3] = 0.5
    assert not is_all_greedy(found, rows)
    assert is_all_greedy(found, rows[:2])
    found.num_logprobs[0] = 0
    assert not is_all_greedy(found, rows[:2])
