"""From a model's raw outputs for its labels to probabilities, in double precision: single precision would call all
above 17 the same. Pure functions."""

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def activated(logits: Rows, how: str) -> npt.NDArray[np.float64]:
    """[texts, labels]; `how` is a card's `label_activation`."""
    exact = logits.astype(np.float64)
    match how:
        case "softmax":
            powers = np.exp(exact - exact.max(axis=1, keepdims=True))
            found = powers / powers.sum(axis=1, keepdims=True)
        case "sigmoid":
            small = np.exp(-np.abs(exact))
            found = np.where(exact >= 0, 1.0, small) / (1.0 + small)
        case _:
            found = exact
    result: npt.NDArray[np.float64] = found
    return result
