"""The compiled argmax of bfloat16 logits gives what numpy gives in float32."""

import numpy as np
import torch

from workers.lean.argmax import greedy_argmax

INF, NAN = float("inf"), float("nan")


def test_first_of_the_largest() -> None:
    source = torch.Generator().manual_seed(3)
    logits = torch.randint(
        -9, 10, (33, 40_000), generator=source
    ).bfloat16()  # no row without ties; more than one thread
    logits[1] = -logits[1].abs() - 1
    assert np.array_equal(greedy_argmax(logits), logits.float().numpy().argmax(axis=1))


def test_zeros_are_equal_whatever_their_sign() -> None:
    assert greedy_argmax(torch.tensor([[-1.0, -0.0, 0.0], [-0.0, 0.0, -2.0]]).bfloat16()).tolist() == [1, 0]


def test_rows_without_a_finite_largest_have_none() -> None:
    rows = [[0.0, NAN, 1.0], [-NAN, 0.0, 1.0], [0.0, INF, 1.0], [-INF, -INF, -INF], [-INF, 2.0, -INF]]
    assert greedy_argmax(torch.tensor(rows).bfloat16()).tolist() == [-1, -1, -1, -1, 1]
