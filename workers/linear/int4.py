"""Weights in 4 bits, a scale for each 32 of an output's; rows in 8 bits, a scale for each row, found as they come.

A bit more than a quarter of bfloat16's memory is read for a token. Weights are widened anew for every four rows, so
that many rows gain nothing over bfloat16.
"""

import numpy as np
import torch

from ipc.errors import ProtocolError
from workers.lean.openmp import run_kernel
from workers.linear.int4_kernels import INT4_PRODUCT, multiply_int4_bfloat16, multiply_int4_float32
from workers.linear.int8_kernels import QUANTIZE
from workers.linear.int8_layout import BLOCK, padded
from workers.linear.int8_rows import QUANTIZERS, coded_rows, few_coded_rows
from workers.linear.interface import MOST_FEW_ROWS, LinearLayer, LinearShape
from workers.linear.vnni_int4 import GROUP

_MULTIPLY = {torch.bfloat16: multiply_int4_bfloat16, torch.float32: multiply_int4_float32}
_ROWS_AT_ONCE = 64 * BLOCK  # of a weight: they are float32 for a moment
# A group's number of largest magnitude becomes one of these codes, whichever leaves the smallest squares of errors.
_CODES_OF_LARGEST = (-8.0, -7.25, -8.75, 7.0)


class Int4Layer:
    """A `LinearLayer` for rows of bfloat16 or float32."""

    def __init__(self, source: memoryview, shape: LinearShape, bias: torch.Tensor | None) -> None:
        """`source` must stay mapped; it starts on 64 bytes. Raises ProtocolError if it is not as long as it should.

        Reads kernels from disk, or compiles them: once, before workers are forked.
        """
        for kernel in (QUANTIZERS[shape.dtype], _MULTIPLY[shape.dtype]):
            kernel()
        self.in_features, self.out_features = shape.in_features, shape.out_features
        if len(source) != int4_bytes(self.out_features, self.in_features):
            raise ProtocolError(f"an int4 weight does not take {len(source):,} bytes")
        self._given_bias = bias
        self._bias: torch.Tensor | None = None  # float32, made by the first product
        self._dtype = shape.dtype
        # One for calls, one for steps of a program.
        self._jobs, self._quantizing = np.zeros(2, INT4_PRODUCT), np.zeros(1, QUANTIZE)
        self._job_address: int = self._jobs.ctypes.data
        address = np.frombuffer(source, np.uint8).ctypes.data
        for job in self._jobs:
            job["inputs"], job["outputs"], job["weight"] = self.in_features, self.out_features, address
            job["scales"] = address + _steps_bytes(self.out_features, self.in_features)
        self._quantizing["width"] = self.in_features

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `LinearLayer`."""
        count = rows.numel() // self.in_features
        shape = (*rows.shape[:-1], self.out_features)
        if count == 0:
            return rows.new_empty(shape)
        self._use_bias()
        coded_rows.quantize(rows.reshape(count, self.in_features).contiguous())
        result = torch.empty(shape, dtype=rows.dtype)
        codes, scales = coded_rows.codes.data_ptr(), coded_rows.scales.data_ptr()
        _fill_in(self._jobs[0], count, codes, scales, result.data_ptr())
        run_kernel(_MULTIPLY[rows.dtype](), self._job_address, torch.get_num_threads())
        return result

    def kernel_steps(self, count: int, rows_at: int, result_at: int) -> list[tuple[int, int]] | None:
        """See `KernelLayer`."""
        if count > MOST_FEW_ROWS:
            return None
        self._use_bias()
        quantize, codes, scales = few_coded_rows.step(self._quantizing[0], count, rows_at, self._dtype)
        _fill_in(self._jobs[1], count, codes, scales, result_at)
        job_at = self._job_address + INT4_PRODUCT.itemsize
        return [(quantize, self._quantizing.ctypes.data), (_MULTIPLY[self._dtype](), job_at)]

    def _use_bias(self) -> None:
        if self._given_bias is not None and self._bias is None:
            self._bias = self._given_bias.detach().float().contiguous()
            self._jobs["bias"] = self._bias.data_ptr()


def _fill_in(job: np.void, count: int, codes_at: int, scales_at: int, result_at: int) -> None:
    job["next"], job["rows"], job["output"] = 0, count, result_at
    job["codes"], job["row_scales"] = codes_at, scales_at


class Int4Kind:
    """A `LinearKind`."""

    def obstacle(self, shape: LinearShape) -> str:
        """See `LinearKind`."""
        if shape.dtype not in _MULTIPLY:
            return f"int4 products give bfloat16 or float32, not {str(shape.dtype).removeprefix('torch.')}"
        if shape.in_features % GROUP != 0:
            return f"int4 products take inputs by {GROUP}, and there are {shape.in_features}"
        if not torch.cpu._is_vnni_supported() or not torch.cpu._is_avx512_supported():
            return "this CPU has no AVX-512 instructions for products of bytes (VNNI)"
        return ""

    def num_bytes(self, shape: LinearShape) -> int:
        """See `LinearKind`."""
        return int4_bytes(shape.out_features, shape.in_features)

    def pack(self, weight: torch.Tensor, target: memoryview) -> bytes:
        """See `LinearKind`."""
        if len(target) != int4_bytes(*weight.shape):
            raise ProtocolError(f"an int4 weight takes {int4_bytes(*weight.shape):,} bytes, not {len(target):,}")
        outputs, inputs = weight.shape
        steps = torch.frombuffer(target, dtype=torch.uint8, count=_steps_bytes(outputs, inputs))
        steps = steps.view(-1, inputs // 8, BLOCK, 4)
        scales = torch.frombuffer(target, dtype=torch.bfloat16, offset=_steps_bytes(outputs, inputs))
        scales = scales.view(-1, inputs // GROUP, BLOCK)
        for first in range(0, outputs, _ROWS_AT_ONCE):
            part = weight[first : first + _ROWS_AT_ONCE].float()
            part = torch.nn.functional.pad(part, (0, 0, 0, padded(len(part)) - len(part)))
            codes, scale = quantize_groups(part.view(-1, GROUP))
            pairs = codes.view(-1, BLOCK, inputs // 8, 2, 4)
            begin, end = first // BLOCK, (first + len(part)) // BLOCK
            steps[begin:end] = (pairs[:, :, :, 0] | (pairs[:, :, :, 1] << 4)).transpose(1, 2)
            scales[begin:end] = scale.view(-1, BLOCK, inputs // GROUP).transpose(1, 2)
        return b""

    def open(self, source: memoryview, metadata: bytes, shape: LinearShape, bias: torch.Tensor | None) -> LinearLayer:
        """See `LinearKind`."""
        return Int4Layer(source, shape, bias)


def _steps_bytes(out_features: int, in_features: int) -> int:
    return padded(out_features) * in_features // 2


def int4_bytes(out_features: int, in_features: int) -> int:
    """Steps, and a bfloat16 scale a group."""
    return _steps_bytes(out_features, in_features) + padded(out_features) * in_features // GROUP * 2


def quantize_groups(groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 codes from 0 to 15 [n, GROUP] and bfloat16 scales [n] of float32 groups [n, GROUP]."""
    largest = groups.gather(1, groups.abs().argmax(dim=1, keepdim=True))
    codes, scales = torch.zeros_like(groups, dtype=torch.uint8), torch.zeros(len(groups), 1, dtype=torch.bfloat16)
    least = torch.full_like(largest, torch.inf)
    for code in _CODES_OF_LARGEST:
        scale = (largest / code).bfloat16()
        divisor = scale.float().where(scale != 0, torch.ones(()))
        rounded = (groups / divisor).round_().clamp_(-8, 7)
        error = (rounded * scale.float() - groups).square_().sum(dim=1, keepdim=True)
        better = error < least
        least = torch.where(better, error, least)
        scales = torch.where(better, scale, scales)
        codes = torch.where(better, (rounded + 8).to(torch.uint8), codes)
    return codes, scales[:, 0]
