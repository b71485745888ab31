"""Position ids of packed sequences, as the architecture counts them."""

from collections.abc import Sequence
from typing import Any

import torch


def position_offset(base: Any) -> int:
    """What the model's first position is called: 0, or padding index + 1 where RoBERTa's way of counting is used."""
    embeddings = getattr(base, "embeddings", None)
    if embeddings is None or not hasattr(embeddings, "create_position_ids_from_input_ids"):
        return 0
    return int(embeddings.padding_idx) + 1


def position_ids(base: Any, token_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """int64 [tokens]: every sequence counts for itself.

    In RoBERTa's way of counting a padding token inside a text stays at the padding index and is not counted.
    """
    offset = position_offset(base)
    if offset == 0:
        return torch.cat([torch.arange(length) for length in lengths])
    padding = offset - 1
    counted = [(part != padding).long() for part in token_ids.split(list(lengths))]
    return torch.cat([part.cumsum(0) * part for part in counted]) + padding
