"""Draws one token a row from its logits.

A draw is a function of the row's logits, its sampling columns, its seed and the token's position, and of nothing
else: the same stream gets the same token on any worker, in any batch, before and after a worker's death. Order of
the filters: temperature, min_p, top_k, top_p (vLLM's), all after a stream's rules and grammar have changed its logits
(`draw_rows.py`). This module knows nothing of streams or steps.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

_GOLDEN = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX_1 = np.uint64(0xBF58_476D_1CE4_E5B9)
_MIX_2 = np.uint64(0x94D0_49BB_1331_11EB)
GREEDY_BELOW = 1e-5  # a temperature below it would overflow float32 after division: it means greedy


@dataclass(frozen=True)
class SamplingColumns:
    """How each of n rows is drawn; all arrays are [n]."""

    temperature: npt.NDArray[np.float32]
    top_k: npt.NDArray[np.int32]
    top_p: npt.NDArray[np.float32]
    min_p: npt.NDArray[np.float32]
    seed: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]  # of the token to draw


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finalizer; uint64 arithmetic wraps on purpose."""
    value = value + _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))


def uniform_draws(seed: npt.NDArray[np.int64], position: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """[n] numbers in [0, 1), one for each (seed, position), the same everywhere and always."""
    bits = _mix(_mix(seed.astype(np.uint64)) ^ _mix(position.astype(np.uint64) ^ _MIX_2))
    uniform: npt.NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform


def sample(logits: torch.Tensor, columns: SamplingColumns) -> npt.NDArray[np.int32]:
    """[n] drawn tokens for logits [n, vocab]; -1 for a row whose logits are not numbers."""
    tokens = largest(logits)
    random_rows = np.flatnonzero((columns.temperature >= GREEDY_BELOW) & (tokens >= 0))
    if len(random_rows) > 0:
        tokens[random_rows] = _draw(logits[torch.from_numpy(random_rows)].float(), _take(columns, random_rows))
    return tokens


def largest(logits: torch.Tensor) -> npt.NDArray[np.int32]:
    """[n] tokens of the first largest of logits [n, vocab] on the host; -1 where that is no finite number."""
    in_bfloat16 = _compiled() if logits.dtype == torch.bfloat16 else None
    if in_bfloat16 is not None:
        return in_bfloat16(logits.contiguous())
    values = logits.float().contiguous().numpy()
    # numpy's is vectorised, torch's took longer than the attention. NaN wins every comparison, so the largest says it
    # all; -inf means that nothing is possible.
    tokens: npt.NDArray[np.int32] = values.argmax(axis=1).astype(np.int32)
    tokens[~np.isfinite(values[np.arange(len(tokens)), tokens])] = -1
    return tokens


@functools.cache
def _compiled() -> Callable[[torch.Tensor], npt.NDArray[np.int32]] | None:
    """A kernel that need not make float32 of bfloat16 first; None where there is no compiler for it."""
    try:
        from workers.lean.argmax import greedy_argmax
    except ImportError:
        return None
    return greedy_argmax


def _take(columns: SamplingColumns, rows: npt.NDArray[np.int64]) -> SamplingColumns:
    return SamplingColumns(
        columns.temperature[rows],
        columns.top_k[rows],
        columns.top_p[rows],
        columns.min_p[rows],
        columns.seed[rows],
        columns.position[rows],
    )


def _draw(logits: torch.Tensor, columns: SamplingColumns) -> npt.NDArray[np.int32]:
    """[n] tokens by inverse cumulative probability over the filtered rows of float32 logits [n, vocab].

    -1: broken row.
    """
    scaled = logits / torch.from_numpy(columns.temperature)[:, None]
    probabilities = torch.softmax(scaled, dim=-1, dtype=torch.float32)
    wants_min_p = np.flatnonzero(columns.min_p > 0)
    if len(wants_min_p) > 0:
        _apply_min_p(probabilities, torch.from_numpy(wants_min_p), torch.from_numpy(columns.min_p[wants_min_p]))
    vocab = logits.shape[1]
    wants_sort = np.flatnonzero(((columns.top_k > 0) & (columns.top_k < vocab)) | (columns.top_p < 1))
    if len(wants_sort) > 0:
        rows = torch.from_numpy(wants_sort)
        top_k = torch.from_numpy(columns.top_k[wants_sort].astype(np.int64))
        _apply_top_k_top_p(probabilities, rows, top_k, torch.from_numpy(columns.top_p[wants_sort]))
    return _inverse_cdf(probabilities, uniform_draws(columns.seed, columns.position))


def _apply_min_p(probabilities: torch.Tensor, rows: torch.Tensor, min_p: torch.Tensor) -> None:
    """Set to 0 what is less likely than min_p times the likeliest; in place."""
    chosen = probabilities[rows]
    floor = chosen.amax(dim=-1, keepdim=True) * min_p[:, None]
    probabilities[rows] = torch.where(chosen < floor, 0.0, chosen)


def _apply_top_k_top_p(
    probabilities: torch.Tensor, rows: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor
) -> None:
    """Keep the top_k likeliest, of those the fewest that reach top_p of what is left (at least one); in place."""
    ordered, order = probabilities[rows].sort(dim=-1, descending=True, stable=True)
    ranks = torch.arange(ordered.shape[1])
    limit = torch.where(top_k > 0, top_k, ordered.shape[1])
    ordered = torch.where(ranks >= limit[:, None], 0.0, ordered)
    reached = ordered.double().cumsum(dim=-1)  # its end, not .sum(), which threads round otherwise for one row
    enough = reached - ordered >= top_p[:, None].double() * reached[:, -1:]
    enough[:, 0] = False
    enough &= (top_p < 1)[:, None]
    ordered = torch.where(enough, 0.0, ordered)
    probabilities[rows] = torch.zeros_like(ordered).scatter_(1, order, ordered)


def _inverse_cdf(probabilities: torch.Tensor, uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """The first token whose cumulative probability exceeds uniform times the row's sum.

    -1 where the sum is no number.
    """
    cumulative = probabilities.double().cumsum(dim=-1)
    total = cumulative[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))  # rounding must not carry a draw past the last token
    target = torch.minimum(torch.from_numpy(uniform)[:, None] * total, below)
    tokens = torch.searchsorted(cumulative, target, right=True)[:, 0].numpy().astype(np.int32)
    broken = ~(torch.isfinite(total) & (total > 0))[:, 0].numpy()
    tokens[broken] = -1
    return tokens
