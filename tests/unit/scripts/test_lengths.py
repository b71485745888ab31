"""Lengths are repeatable, have the mean they say, and stay between their borders."""

import random

import pytest

from scripts.load_testing.lengths import LARGEST_SHARE, SMALLEST_SHARE, Lengths


def drawn(lengths: Lengths, seed: int, count: int = 4000) -> list[int]:
    source = random.Random(seed)
    return [lengths.draw(source) for _ in range(count)]


def test_fixed_lengths_are_all_the_mean() -> None:
    assert set(drawn(Lengths(mean=128, spread=0.0), seed=1)) == {128}


def test_the_same_seed_draws_the_same() -> None:
    lengths = Lengths(mean=161, spread=1.2)
    assert drawn(lengths, seed=7) == drawn(lengths, seed=7)
    assert drawn(lengths, seed=7) != drawn(lengths, seed=8)


@pytest.mark.parametrize(("mean", "spread"), [(161, 1.2), (338, 0.9), (2000, 0.5)])
def test_the_mean_is_kept_but_for_what_the_borders_take(mean: int, spread: float) -> None:
    found = drawn(Lengths(mean, spread), seed=3, count=20_000)
    assert sum(found) / len(found) == pytest.approx(mean, rel=0.08)
    assert sorted(found)[len(found) // 2] == pytest.approx(Lengths(mean, spread).median, rel=0.1)
    assert min(found) >= round(mean * SMALLEST_SHARE)
    assert max(found) <= mean * LARGEST_SHARE


def test_no_length_is_below_one_token() -> None:
    assert min(drawn(Lengths(mean=2, spread=1.2), seed=0)) == 1
