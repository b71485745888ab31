"""What two runs of the same texts say about each other. Pure functions."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = Sequence[Sequence[float]]


def largest_difference(ours: Rows, theirs: Rows) -> float:
    """Of any two numbers at the same place."""
    return float(np.abs(_array(ours) - _array(theirs)).max())


def order_violations(ours: Rows, theirs: Rows, margin: float) -> int:
    """Pairs of texts whose scores theirs has further apart than `margin` and ours in another order."""
    first, second = _array(ours)[:, 0], _array(theirs)[:, 0]
    apart = second[:, None] - second[None, :]
    return int(((apart > margin) & (first[:, None] <= first[None, :])).sum())


def least_cosine(ours: Rows, theirs: Rows) -> float:
    """Of a text's two vectors, the least of all texts."""
    first, second = _array(ours), _array(theirs)
    products = (first * second).sum(1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    return float(products.min())


def spread(ratios: Sequence[float]) -> str:
    """Median, least and largest."""
    return f"{median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"


def _array(rows: Rows) -> npt.NDArray[Any]:
    return np.asarray(rows, np.float64)
