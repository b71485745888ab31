"""Cosines and sines of a step's positions, by the model's own module: every kind of rotary embedding is right.

The module takes longer than a layer's attention for a few tokens, so what depends on the position alone is asked once.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from workers.lean.structure import DecoderParts

BLOCK = 1024  # positions asked for together
# transformers' kinds whose angles follow from the position alone; others change with the longest one seen
_FIXED = {"default", "linear", "llama3", "yarn"}


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
        self.types = [str(layer.attention.layer_type) if by_type else "" for layer in parts.layers]
        self._known = {kind: _Known(kind, self._table) for kind in set(self.types) if self._is_fixed(kind)}

    def tables(self, position_ids: torch.Tensor) -> dict[str, RotaryTable]:
        """Of each type of layers, for positions int64 [tokens]."""
        return {
            kind: self._known[kind].at(position_ids) if kind in self._known else self._table(kind, position_ids)
            for kind in dict.fromkeys(self.types)
        }

    def _is_fixed(self, kind: str) -> bool:
        told = getattr(self._module, "rope_type", None)
        return (told.get(kind) if isinstance(told, dict) else told) in _FIXED

    def _table(self, kind: str, position_ids: torch.Tensor) -> RotaryTable:
        said = {"layer_type": kind} if kind else {}
        cosine, sine = self._module(self._like, position_ids[None], **said)
        return RotaryTable(cosine[0].float().contiguous(), sine[0].float().contiguous())


class _Known:
    """The tables of one type of layers, as far as positions were met: 1 KiB a position at a head of 128."""

    def __init__(self, kind: str, compute: Callable[[str, torch.Tensor], RotaryTable]) -> None:
        self._kind, self._compute = kind, compute
        self._first = np.full(0, -1, np.int64)  # [blocks] row of each block's first position; -1: not met
        self._cosine = self._sine = np.zeros((0, 0), np.float32)  # [positions met, rotated]

    def at(self, position_ids: torch.Tensor) -> RotaryTable:
        """For positions int64 [tokens], of which there is one."""
        positions = position_ids.numpy()
        blocks = positions // BLOCK
        if blocks.max() >= len(self._first):
            missing = int(blocks.max()) + 1 - len(self._first)
            self._first = np.concatenate([self._first, np.full(missing, -1, np.int64)])
        if self._first[blocks].min() < 0:
            for block in np.unique(blocks).tolist():
                self._meet(block)
        rows = self._first[blocks] + positions % BLOCK
        return RotaryTable(torch.from_numpy(self._cosine[rows]), torch.from_numpy(self._sine[rows]))

    def _meet(self, block: int) -> None:
        if self._first[block] >= 0:
            return
        found = self._compute(self._kind, torch.arange(block * BLOCK, (block + 1) * BLOCK))
        cosine, sine = found.cosine.numpy(), found.sine.numpy()
        self._first[block] = len(self._cosine)
        if len(self._cosine):
            cosine, sine = np.concatenate([self._cosine, cosine]), np.concatenate([self._sine, sine])
        self._cosine, self._sine = cosine, sine
