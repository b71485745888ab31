"""Draws: right in the mean, the same on every worker, and a broken row harms no other."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from workers.sampler import SamplingColumns, sample, uniform_draws


def columns(
    num_rows: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    seed: npt.NDArray[np.int64] | None = None,
    position: int = 9,
) -> SamplingColumns:
    return SamplingColumns(
        np.full(num_rows, temperature, np.float32),
        np.full(num_rows, top_k, np.int32),
        np.full(num_rows, top_p, np.float32),
        np.full(num_rows, min_p, np.float32),
        np.arange(num_rows, dtype=np.int64) if seed is None else seed,
        np.full(num_rows, position, np.int64),
    )


def frequencies(logits: list[float], num_draws: int = 20_000, **how: Any) -> npt.NDArray[np.float64]:
    """How often each token is drawn over `num_draws` seeds."""
    tokens = sample(torch.tensor([logits]).expand(num_draws, -1), columns(num_draws, **how))
    return np.bincount(tokens, minlength=len(logits)) / num_draws


def probabilities(logits: list[float], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    return torch.softmax(torch.tensor(logits, dtype=torch.float64) / temperature, 0).numpy()


LOGITS = [0.0, 1.0, 2.0, 0.5, -1.0, 3.0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    drawn = frequencies(LOGITS, temperature=temperature)
    np.testing.assert_allclose(drawn, probabilities(LOGITS, temperature), atol=0.012)


def test_greedy_takes_the_largest_also_in_bfloat16() -> None:
    logits = torch.tensor([LOGITS, LOGITS[::-1]])
    assert sample(logits, columns(2, temperature=0.0)).tolist() == [5, 0]
    assert sample(logits.bfloat16(), columns(2, temperature=0.0)).tolist() == [5, 0]


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"top_k": 1}, [5]),
        ({"top_k": 3}, [5, 2, 1]),
        ({"top_k": 100}, [0, 1, 2, 3, 4, 5]),
        ({"top_p": 0.5}, [5]),  # the likeliest alone has 0.60
        ({"top_p": 0.8}, [5, 2]),
        ({"min_p": 0.1}, [5, 2, 1]),  # e**-2 = 0.135 of the likeliest is kept, e**-2.5 = 0.08 is not
        ({"top_k": 3, "top_p": 0.9}, [5, 2]),  # top_p counts what top_k left: 0.665 + 0.245 of it
        ({"min_p": 0.3, "top_p": 0.99}, [5, 2]),
    ],
)
def test_filters_keep_the_likeliest(how: dict[str, Any], kept: list[int]) -> None:
    drawn = frequencies(LOGITS, **how)
    expected = np.zeros(len(LOGITS))
    expected[kept] = probabilities(LOGITS)[kept]
    np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.012)


def test_a_draw_depends_on_seed_and_position_only() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 500, generator=generator)
    together = sample(logits, columns(40, top_p=0.9))
    order = np.random.default_rng(0).permutation(40)
    shuffled = columns(40, top_p=0.9, seed=order.astype(np.int64))
    np.testing.assert_array_equal(sample(logits[order], shuffled), together[order])
    for row in (0, 7, 39):
        alone = sample(logits[row : row + 1], columns(1, top_p=0.9, seed=np.array([row])))
        assert alone[0] == together[row]
    assert (sample(logits, columns(40, top_p=0.9, position=10)) != together).any()


def test_rows_without_filters_are_not_touched_by_rows_with() -> None:
    logits = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    mixed = columns(2)
    mixed.top_k[1] = 1
    tokens = sample(logits, mixed)
    assert tokens[0] == sample(logits[:1], columns(1))[0]
    assert tokens[1] == int(logits[1].argmax())


def test_a_broken_row_is_minus_one_and_harms_no_other() -> None:
    logits = torch.tensor([LOGITS, [float("nan")] * 6, [float("-inf")] * 6, LOGITS])
    for temperature in (0.0, 1.0):
        tokens = sample(logits, columns(4, temperature=temperature))
        assert tokens[1] == tokens[2] == -1
        assert tokens[0] == sample(logits[:1], columns(1, temperature=temperature))[0]
        assert tokens[3] >= 0


def test_uniform_draws_are_spread_and_never_one() -> None:
    seeds = np.repeat(np.arange(200), 200)
    positions = np.tile(np.arange(200), 200)
    draws = uniform_draws(seeds.astype(np.int64), positions.astype(np.int64))
    assert draws.min() >= 0
    assert draws.max() < 1
    assert len(np.unique(draws)) == len(draws)
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    assert abs(counts - 2000).max() < 250
    grid = draws.reshape(200, 200)
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02  # neighbours in position
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02  # neighbours in seed


def test_extreme_seeds_draw() -> None:
    seeds = np.array([0, 1, 2**63 - 1], np.int64)
    assert len(set(uniform_draws(seeds, np.zeros(3, np.int64)))) == 3
