"""Packed bfloat16 weights with a second, compact copy beside them: a quarter less to read for a few rows, no loss.

Up to eight rows are multiplied with the copy (`packed_product.py`), at the speed of memory, of which 12 instead
of 16 bits a weight come; more with the packed weight.
"""

import logging

import numpy as np
import torch

from workers.linear.compact_weight import compact_addresses, compact_bytes, write_compact
from workers.linear.interface import LinearLayer, LinearShape
from workers.linear.packed import PackedKind, open_packed
from workers.linear.packed_product import is_possible

_COMPACT, _NOT_COMPACT = b"\1", b"\0"  # the metadata's first byte: is the copy there?
_logger = logging.getLogger("zerolane.workers.linear")


class CompactKind:
    """A `LinearKind`."""

    def __init__(self) -> None:
        self._packed = PackedKind()

    def obstacle(self, shape: LinearShape) -> str:
        """See `LinearKind`."""
        if shape.dtype is not torch.bfloat16:
            return f"only bfloat16 is kept in 12 bits, and this is {str(shape.dtype).removeprefix('torch.')}"
        obstacle = self._packed.obstacle(shape)
        if not obstacle and not is_possible(shape.out_features, shape.in_features):
            return "there is no kernel for products of few rows of this shape here"
        return obstacle

    def num_bytes(self, shape: LinearShape) -> int:
        """See `LinearKind`."""
        return self._packed.num_bytes(shape) + compact_bytes(shape.out_features, shape.in_features)

    def pack(self, weight: torch.Tensor, target: memoryview) -> bytes:
        """See `LinearKind`."""
        size = len(target) - compact_bytes(*weight.shape)
        metadata = self._packed.pack(weight, target[:size])
        address = np.frombuffer(target, np.uint8).ctypes.data
        is_compact = write_compact(address, address + size, *weight.shape)
        if not is_compact:
            _logger.info("a weight %s has no compact copy: its exponents differ too much", tuple(weight.shape))
        return (_COMPACT if is_compact else _NOT_COMPACT) + metadata

    def open(self, source: memoryview, metadata: bytes, shape: LinearShape, bias: torch.Tensor | None) -> LinearLayer:
        """See `LinearKind`."""
        size = len(source) - compact_bytes(shape.out_features, shape.in_features)
        compact = None
        if metadata[:1] == _COMPACT:
            address = np.frombuffer(source, np.uint8).ctypes.data + size
            compact = compact_addresses(address, shape.out_features, shape.in_features)
        return open_packed(source[:size], metadata[1:], shape, bias, compact)
