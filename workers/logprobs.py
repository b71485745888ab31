"""Log-probabilities of tokens: the float32 log-softmax of logits as the model gave them.

Tokens stand in one order everywhere: the likeliest first, of equally likely ones the one with the lower id. A greedy
draw takes the first of that order.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

NO_TOKEN = -1


class Logprobs(NamedTuple):
    """Of one token in each of n rows, and of the k likeliest ones beside it."""

    logprob: npt.NDArray[np.float32]  # [n]
    rank: npt.NDArray[np.int32]  # [n], 1: the first in order
    top_ids: npt.NDArray[np.int32]  # [n, k] in order; NO_TOKEN behind the last token of a small vocabulary
    top_logprobs: npt.NDArray[np.float32]  # [n, k]


def logprobs_of(logits: torch.Tensor, tokens: npt.NDArray[np.integer], num_top: int) -> Logprobs:
    """For logits [n, vocab] on any device and a token in each row. What is returned lies on the host."""
    values = logits.float()
    every = torch.log_softmax(values, dim=-1)
    chosen = torch.from_numpy(tokens.astype(np.int64)).to(values.device)[:, None]
    top = _first_in_order(values, num_top)
    top_ids = np.full((len(tokens), num_top), NO_TOKEN, np.int32)
    top_logprobs = np.full((len(tokens), num_top), -np.inf, np.float32)
    top_ids[:, : top.shape[1]] = top.cpu().numpy()
    top_logprobs[:, : top.shape[1]] = every.gather(1, top).cpu().numpy()
    logprob: npt.NDArray[np.float32] = every.gather(1, chosen)[:, 0].cpu().numpy()
    return Logprobs(logprob, _ranks(values, chosen), top_ids, top_logprobs)


def _ranks(values: torch.Tensor, chosen: torch.Tensor) -> npt.NDArray[np.int32]:
    own = values.gather(1, chosen)
    ids = torch.arange(values.shape[1], device=values.device)
    before = (values > own) | ((values == own) & (ids < chosen))
    ranks: npt.NDArray[np.int32] = (before.sum(dim=-1) + 1).cpu().numpy().astype(np.int32)
    return ranks


def _first_in_order(values: torch.Tensor, count: int) -> torch.Tensor:
    """int64 [n, at most count] ids of each row's likeliest tokens, in order."""
    vocab = values.shape[1]
    count = min(count, vocab)
    if count == 0:
        return torch.zeros((len(values), 0), dtype=torch.int64, device=values.device)
    found = values.topk(min(count + 1, vocab), dim=-1)
    ids = found.indices[:, :count]
    has_equals = (found.values[:, 1:] == found.values[:, :-1]).any(dim=-1)  # topk leaves open which of them comes first
    for row in has_equals.nonzero()[:, 0].tolist():
        candidates = (values[row] >= found.values[row, count - 1]).nonzero()[:, 0]
        order = values[row, candidates].sort(descending=True, stable=True).indices[:count]
        ids[row] = candidates[order]
    return ids
