"""Cosines and sines of a step's positions, by the model's own module: every kind of rotary embedding is right."""

import inspect
from typing import NamedTuple

import torch

from workers.lean.structure import DecoderParts


class RotaryTable(NamedTuple):
    """float32 [tokens, rotated]: of how many numbers of each head are rotated, and by what."""

    cosine: torch.Tensor
    sine: torch.Tensor


class Rotary:
    """A model's rotary embedding."""

    def __init__(self, parts: DecoderParts, dtype: torch.dtype) -> None:
        self._module = parts.rotary
        self._like = torch.empty(0, dtype=dtype)  # the module rounds its tables to this type
        by_type = "layer_type" in inspect.signature(self._module.forward).parameters
        self._types = [str(layer.attention.layer_type) if by_type else "" for layer in parts.layers]

    def tables(self, position_ids: torch.Tensor) -> list[RotaryTable]:
        """Of each layer, for positions int64 [tokens]; layers of one type share theirs."""
        tables = {kind: self._table(position_ids, kind) for kind in set(self._types)}
        return [tables[kind] for kind in self._types]

    def _table(self, position_ids: torch.Tensor, kind: str) -> RotaryTable:
        said = {"layer_type": kind} if kind else {}
        cosine, sine = self._module(self._like, position_ids[None], **said)
        return RotaryTable(cosine[0].float().contiguous(), sine[0].float().contiguous())
