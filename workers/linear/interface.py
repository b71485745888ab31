"""What every way to keep and multiply a linear layer's weights gives.

The loader packs a layer's weight into the weights segment, once. Every worker opens what lies there, without a copy,
and multiplies with it. What lies there is the kind's own business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

MOST_FEW_ROWS = 36  # that integer products of ours take; with more, oneDNN's are as fast


@dataclass(frozen=True)
class LinearShape:
    """What must be known of a layer before its weights are read."""

    in_features: int
    out_features: int
    dtype: torch.dtype  # of activations, and of the weight as the checkpoint's loader gives it


class LinearLayer(Protocol):
    """Multiplies rows by one weight. Used by one thread; may keep scratch memory between calls."""

    in_features: int
    out_features: int

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., out_features] in the type of `rows` [..., in_features], bias added if there is one. A new tensor."""
        ...


@runtime_checkable
class KernelLayer(Protocol):
    """A `LinearLayer` whose products, of not too many rows, consist of kernels, to be run among others."""

    def kernel_steps(self, count: int, rows_at: int, result_at: int) -> list[tuple[int, int]] | None:
        """Addresses of kernels and their jobs: they multiply `count` rows at one address, without gaps, in the type of
        the layer's shape, and leave the results at the other. None: there are none for so many rows.

        The jobs are the layer's own, kept for this; the next call writes to them.
        """
        ...


class LinearKind(Protocol):
    """One way to keep weights."""

    def obstacle(self, shape: LinearShape) -> str:
        """Why such a layer cannot be of this kind on this machine; empty: it can."""
        ...

    def num_bytes(self, shape: LinearShape) -> int:
        """Bytes in the segment of one such layer, without its bias; known before its weight is."""
        ...

    def pack(self, weight: torch.Tensor, target: memoryview) -> bytes:
        """Write a weight [out_features, in_features] to `target`, `num_bytes` long; returns `open`'s metadata."""
        ...

    def open(self, source: memoryview, metadata: bytes, shape: LinearShape, bias: torch.Tensor | None) -> LinearLayer:
        """The layer on memory that stays mapped as long as it is used. Copies nothing, computes nothing, starts no
        thread: workers are forked afterwards.
        """
        ...


# Layers that read the same rows, so that one product with their weights below one another serves all: dotted names of
# linear modules in the order of the outputs, ("...q_proj", "...k_proj", "...v_proj") for example. Alone: one name.
LinearGroup = Sequence[str]
