"""Weights in 8 bits, a scale for each output; rows in 8 bits too, a scale for each row, found as they come.

Half the memory of bfloat16 is read for a token, and the CPU multiplies bytes twice as fast. A few rows go through a
kernel that walks the weight at the speed of memory, with less around it than oneDNN's product has; more go through
that.
"""

import ctypes

import numpy as np
import torch

from ipc.errors import ProtocolError
from workers.lean.openmp import run_kernel
from workers.linear import int8_kernels as kernels
from workers.linear.int8_layout import (
    BLOCK,
    blob_size,
    layer_bytes,
    machine_obstacle,
    onednn_metadata,
    padded,
    write_layer,
)
from workers.linear.int8_rows import QUANTIZERS, coded_rows, few_coded_rows
from workers.linear.interface import MOST_FEW_ROWS, LinearLayer, LinearShape
from workers.linear.mkldnn_blob import tensor_on
from workers.linear.row_tile import PLAIN, grouped_passes

_ZERO_POINT = 128
_MULTIPLY = {torch.bfloat16: kernels.multiply_bfloat16, torch.float32: kernels.multiply_float32}
_SCALE = {torch.bfloat16: kernels.scale_bfloat16, torch.float32: kernels.scale_float32}


class Int8Layer:
    """A `LinearLayer` for rows of bfloat16 or float32."""

    def __init__(self, source: memoryview, metadata: bytes, shape: LinearShape, bias: torch.Tensor | None) -> None:
        """`source` must stay mapped. Raises ProtocolError for metadata that are none.

        Reads kernels from disk, or compiles them: once, before workers are forked.
        """
        for kernel in (QUANTIZERS[shape.dtype], _MULTIPLY[shape.dtype], _SCALE[shape.dtype]):
            kernel()
        self.in_features, self.out_features = shape.in_features, shape.out_features
        blob = blob_size(shape.out_features, shape.in_features)
        self._weight = tensor_on(source[:blob], metadata)
        address = int(torch.ops.mkldnn.data_ptr(self._weight))
        self._scales = torch.frombuffer(
            (ctypes.c_float * self.out_features).from_address(address + blob), dtype=torch.float32
        )
        self._zero_points = torch.zeros(1, dtype=torch.int32)
        self._given_bias = bias
        self._bias: torch.Tensor | None = None  # float32, made by the first product
        # Of products one for calls, one for steps of a program.
        self._products, self._rescaling = np.zeros(2, kernels.PRODUCT), np.zeros(1, kernels.SCALE)
        self._quantizing = np.zeros(1, kernels.QUANTIZE)
        self._dtype = shape.dtype
        self._product_address: int = self._products.ctypes.data
        self._rescaling_address: int = self._rescaling.ctypes.data
        stripe = padded(self.in_features) * BLOCK
        for product in self._products:
            product["inputs"], product["outputs"], product["stripe_bytes"] = self.in_features, self.out_features, stripe
            product["weight"], product["scales"] = address, address + blob
            product["corrections"] = address + blob - 4 * padded(self.out_features)
        self._rescaling["width"], self._quantizing["width"] = self.out_features, self.in_features

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `LinearLayer`."""
        count = rows.numel() // self.in_features
        shape = (*rows.shape[:-1], self.out_features)
        if count == 0:
            return rows.new_empty(shape)
        self._use_bias()
        coded_rows.quantize(rows.reshape(count, self.in_features).contiguous())
        multiply = self._multiply_few if count <= MOST_FEW_ROWS else self._multiply_many
        return multiply(count, rows.dtype).view(shape)

    def kernel_steps(self, count: int, rows_at: int, result_at: int) -> list[tuple[int, int]] | None:
        """See `KernelLayer`."""
        if count > MOST_FEW_ROWS:
            return None
        self._use_bias()
        quantize, codes, scales = few_coded_rows.step(self._quantizing[0], count, rows_at, self._dtype)
        _fill_in(self._products[1], count, codes, scales, result_at)
        product_at = self._product_address + kernels.PRODUCT.itemsize
        return [(quantize, self._quantizing.ctypes.data), (_MULTIPLY[self._dtype](), product_at)]

    def _multiply_few(self, count: int, dtype: torch.dtype) -> torch.Tensor:
        result = torch.empty(count, self.out_features, dtype=dtype)
        codes, scales = coded_rows.codes.data_ptr(), coded_rows.scales.data_ptr()
        _fill_in(self._products[0], count, codes, scales, result.data_ptr())
        run_kernel(_MULTIPLY[dtype](), self._product_address, torch.get_num_threads())
        return result

    def _multiply_many(self, count: int, dtype: torch.dtype) -> torch.Tensor:
        codes = coded_rows.codes[: count * self.in_features].view(count, self.in_features)
        weight, scales, zero_points = self._weight, self._scales, self._zero_points
        result: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            codes, 1.0, _ZERO_POINT, weight, scales, zero_points, None, 1.0, 0, dtype, "none", [], ""
        )
        job = self._rescaling[0]
        job["next"], job["rows"], job["output"] = 0, count, result.data_ptr()
        job["row_scales"] = coded_rows.scales.data_ptr()
        run_kernel(_SCALE[dtype](), self._rescaling_address, torch.get_num_threads())
        return result

    def _use_bias(self) -> None:
        if self._given_bias is not None and self._bias is None:
            self._bias = self._given_bias.detach().float().contiguous()
            self._products["bias"] = self._rescaling["bias"] = self._bias.data_ptr()


def _fill_in(job: np.void, count: int, codes_at: int, scales_at: int, result_at: int) -> None:
    passes = grouped_passes(count, PLAIN).tiles  # one group: they are few
    job["next"], job["rows"], job["output"] = 0, count, result_at
    job["codes"], job["row_scales"] = codes_at, scales_at
    job["passes"], job["num_passes"] = passes.ctypes.data, len(passes)


class Int8Kind:
    """A `LinearKind`."""

    def obstacle(self, shape: LinearShape) -> str:
        """See `LinearKind`."""
        if shape.dtype not in _MULTIPLY:
            return f"int8 products give bfloat16 or float32, not {str(shape.dtype).removeprefix('torch.')}"
        if shape.in_features % 4 != 0:
            return f"int8 products take inputs by fours, and there are {shape.in_features}"
        return machine_obstacle()

    def num_bytes(self, shape: LinearShape) -> int:
        """See `LinearKind`."""
        return layer_bytes(shape.out_features, shape.in_features)

    def pack(self, weight: torch.Tensor, target: memoryview) -> bytes:
        """See `LinearKind`."""
        metadata = onednn_metadata(*weight.shape)
        if len(target) != layer_bytes(*weight.shape):
            raise ProtocolError(f"an int8 weight takes {layer_bytes(*weight.shape):,} bytes, not {len(target):,}")
        write_layer(weight, target)
        return metadata

    def open(self, source: memoryview, metadata: bytes, shape: LinearShape, bias: torch.Tensor | None) -> LinearLayer:
        """See `LinearKind`."""
        return Int8Layer(source, metadata, shape, bias)
