"""Weights in the order oneDNN multiplies them in, packed once instead of at every call.

The plain product packs parts of the weight again at every call. Measured with two threads: half again as fast for four
to sixteen rows of bfloat16, two to three times for float32, and never slower. Up to a few hundred rows of bfloat16 go
through a kernel of ours (`packed_product.py`).
"""

import functools
from typing import TYPE_CHECKING

import torch

from ipc.errors import ProtocolError
from workers.linear.interface import LinearLayer, LinearShape
from workers.linear.mkldnn_blob import blob_bytes, blob_obstacle, blob_of, tensor_on

if TYPE_CHECKING:
    from workers.linear.packed_product import PackedProduct
    from workers.linear.weight_rows import CompactAddresses

FEW_ROWS = 4  # oneDNN reads a large weight faster for four rows than for one or two
LARGE_WEIGHT = 4 << 20  # bytes; below, filling up costs more than it saves
DTYPES = (torch.bfloat16, torch.float32)
_OTHER_ORDER, _KNOWN_ORDER = b"\0", b"\1"  # the metadata's first byte: may our own kernel walk the weight?


class PackedLinear:
    """A `LinearLayer`. `fewest_rows`: with fewer it copies them to scratch memory first, to multiply so many."""

    def __init__(
        self,
        weight: torch.Tensor,
        shape: LinearShape,
        bias: torch.Tensor | None,
        num_bytes: int,
        product: "PackedProduct | None" = None,
    ) -> None:
        """`weight` is an mkldnn tensor; `num_bytes` are those of its memory. `product` multiplies with it, too."""
        self.in_features, self.out_features = shape.in_features, shape.out_features
        self.fewest_rows = FEW_ROWS if num_bytes >= LARGE_WEIGHT else 1
        self._weight, self._bias, self._product = weight, bias, product
        self._few: torch.Tensor | None = None  # [FEW_ROWS, in_features], made by the first small batch

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `LinearLayer`."""
        return self._multiply(rows, "none", "")

    def kernel_steps(self, count: int, rows_at: int, result_at: int) -> list[tuple[int, int]] | None:
        """See `KernelLayer`."""
        if self._product is None or count > self._product.most_rows:
            return None
        return [self._product.step(count, rows_at, result_at)]

    def gelu(self, rows: torch.Tensor, approximate: str) -> torch.Tensor:
        """`F.gelu` of the product, applied before it is rounded. `approximate` is torch's: "none" or "tanh"."""
        return self._multiply(rows, "gelu", approximate)

    def _multiply(self, rows: torch.Tensor, then: str, algorithm: str) -> torch.Tensor:
        count = rows.numel() // self.in_features
        if count == 0:
            return rows.new_empty(*rows.shape[:-1], self.out_features)
        ours = self._product
        if ours is not None and count <= ours.most_rows and then == "none":
            found = ours.multiply(rows.reshape(count, self.in_features).contiguous())
            return found.view(*rows.shape[:-1], self.out_features)
        multiply = torch.ops.mkldnn._linear_pointwise
        if count >= self.fewest_rows:
            result: torch.Tensor = multiply(rows, self._weight, self._bias, then, [], algorithm)
            return result
        if self._few is None:
            self._few = rows.new_zeros(FEW_ROWS, self.in_features)
        self._few[:count] = rows.reshape(count, self.in_features)
        result = multiply(self._few, self._weight, self._bias, then, [], algorithm)
        return result[:count].view(*rows.shape[:-1], self.out_features)


class PackedKind:
    """A `LinearKind`."""

    def obstacle(self, shape: LinearShape) -> str:
        """See `LinearKind`."""
        if shape.dtype not in DTYPES:
            return f"oneDNN packs no {str(shape.dtype).removeprefix('torch.')} here"
        return blob_obstacle() or (_bfloat16_obstacle() if shape.dtype is torch.bfloat16 else "")

    def num_bytes(self, shape: LinearShape) -> int:
        """See `LinearKind`."""
        return _packed_bytes(shape)

    def pack(self, weight: torch.Tensor, target: memoryview) -> bytes:
        """See `LinearKind`."""
        packed = _reorder(weight.detach())
        memory, metadata = blob_of(packed)
        if len(memory) != len(target):
            raise ProtocolError(f"a packed weight takes {len(memory):,} bytes, {len(target):,} were kept for it")
        # by all threads, which a memoryview's own copy is not
        torch.frombuffer(target, dtype=torch.uint8).copy_(torch.frombuffer(memory, dtype=torch.uint8))
        is_known = weight.dtype is torch.bfloat16 and _can_walk(*weight.shape)
        return (_KNOWN_ORDER if is_known else _OTHER_ORDER) + metadata

    def open(self, source: memoryview, metadata: bytes, shape: LinearShape, bias: torch.Tensor | None) -> LinearLayer:
        """See `LinearKind`."""
        return open_packed(source, metadata, shape, bias)


def open_packed(
    source: memoryview,
    metadata: bytes,
    shape: LinearShape,
    bias: torch.Tensor | None,
    compact: "CompactAddresses | None" = None,
) -> PackedLinear:
    """`PackedKind.open`, for a weight that may lie somewhere else once more, compact."""
    weight, product = tensor_on(source, metadata[1:]), None
    if metadata[:1] == _KNOWN_ORDER:
        from workers.linear.packed_product import PackedProduct

        address = int(torch.ops.mkldnn.data_ptr(weight))
        product = PackedProduct(address, shape.out_features, shape.in_features, bias, compact)
    return PackedLinear(weight, shape, bias, len(source), product)


def _can_walk(out_features: int, in_features: int) -> bool:
    """Our own kernel multiplies with a bfloat16 weight of this shape."""
    try:
        from workers.linear.packed_product import is_possible  # numba: not every machine has it
    except ImportError:
        return False
    return is_possible(out_features, in_features)


@functools.cache
def _packed_bytes(shape: LinearShape) -> int:
    """A weight of nothing in particular is packed to learn this: layouts are oneDNN's secret."""
    return blob_bytes(_reorder(torch.empty(shape.out_features, shape.in_features, dtype=shape.dtype)))


@functools.cache
def _bfloat16_obstacle() -> str:
    return "" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "this CPU has no instructions for bfloat16"


def _reorder(weight: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed
