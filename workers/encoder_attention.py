"""Attention of packed sequences without a KV cache: every sequence of the step sees itself and nothing else.

Sequences of equal length are computed together; within a group nothing is padded, so no mask is needed unless a
layer has a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from workers.paged_attention.interface import LayerArguments, visible
from workers.paged_attention.reference import attend_row


@dataclass(frozen=True)
class EqualSequences:
    """Sequences of one length. `tokens` int64 [sequences * length]: their tokens' indexes in the packed step."""

    tokens: torch.Tensor
    length: int


def group_by_length(lengths: Sequence[int]) -> list[EqualSequences]:
    """The packed sequences of these lengths, grouped."""
    by_length: dict[int, list[torch.Tensor]] = {}
    first = 0
    for length in lengths:
        by_length.setdefault(length, []).append(torch.arange(first, first + length))
        first += length
    return [EqualSequences(torch.cat(tokens), length) for length, tokens in sorted(by_length.items())]


def attend_packed(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    arguments: LayerArguments,
    is_causal: bool,
    groups: Sequence[EqualSequences],
) -> torch.Tensor:
    """[tokens, heads, value dim] for query, key, value [tokens, heads or KV heads, dim]."""
    output = query.new_empty(query.shape[0], query.shape[1], value.shape[2])
    for group in groups:
        shape = (-1, group.length)
        parts = [tensor[group.tokens].unflatten(0, shape).transpose(1, 2) for tensor in (query, key, value)]
        attended = _attend_group(parts[0], parts[1], parts[2], arguments, is_causal)
        output[group.tokens] = attended.transpose(1, 2).flatten(0, 1)
    return output


def _attend_group(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, arguments: LayerArguments, is_causal: bool
) -> torch.Tensor:
    """[sequences, heads, length, value dim] for tensors of shape [sequences, heads or KV heads, length, dim]."""
    length = query.shape[2]
    # a mask of a long text's length squared is only made where it says more than "causal"
    is_plainly_causal = is_causal and not 0 < arguments.sliding_window < length and not _is_special(arguments)
    mask = None if is_plainly_causal else _mask(length, arguments.sliding_window, is_causal)
    if _is_special(arguments):
        everything = torch.ones(query.shape[2], query.shape[2], dtype=torch.bool)
        rows = [
            attend_row(query[i].transpose(0, 1), key[i], value[i], everything if mask is None else mask, arguments)
            for i in range(query.shape[0])
        ]
        return torch.stack(rows).transpose(1, 2)
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=is_plainly_causal,
        scale=arguments.scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _is_special(arguments: LayerArguments) -> bool:
    """Torch's fused attention knows neither."""
    return arguments.softcap > 0 or arguments.sinks is not None


def _mask(length: int, window: int, is_causal: bool) -> torch.Tensor | None:
    """bool [length, length], None: everybody sees everybody. Without causality a window reaches to both sides."""
    if is_causal:
        return visible(length, 0, window)
    if window == 0 or length <= window:
        return None
    positions = torch.arange(length)
    return (positions[:, None] - positions[None, :]).abs() < window
