"""Rows as int8 layers take them: codes and a scale for each row, in memory kept from call to call.

All int8 layers of a thread share that memory: it is read before the next layer writes to it, and stays in the cache.
"""

import threading

import numpy as np
import torch

from workers.lean.openmp import run_kernel
from workers.linear.int8_kernels import QUANTIZE, quantize_bfloat16, quantize_float32
from workers.linear.interface import MOST_FEW_ROWS

_PADDING = 4  # kernels read rows by four
_SMALLEST_SHARED = 1 << 15  # numbers; fewer are turned to codes before another thread is at work
QUANTIZERS = {torch.bfloat16: quantize_bfloat16, torch.float32: quantize_float32}


class CodedRows(threading.local):
    """The codes of the rows quantized last, by one thread."""

    def __init__(self) -> None:
        self.codes = torch.empty(0, dtype=torch.uint8)  # flat, longer than needed
        self.scales = torch.empty(0, dtype=torch.float32)
        self._job = np.zeros(1, QUANTIZE)
        self._address: int = self._job.ctypes.data

    def quantize(self, rows: torch.Tensor) -> None:
        """Fill `codes` and `scales` from rows [n, width], contiguous, of a type in QUANTIZERS."""
        count, width = rows.shape
        if len(self.scales) < count:
            self.scales = torch.empty(count + _PADDING, dtype=torch.float32)
        if len(self.codes) < (count + _PADDING) * width:
            self.codes = torch.full(((count + _PADDING) * width,), 128, dtype=torch.uint8)
        job = self._job[0]
        job["next"], job["rows"], job["width"] = 0, count, width
        job["input"], job["codes"], job["scales"] = rows.data_ptr(), self.codes.data_ptr(), self.scales.data_ptr()
        threads = torch.get_num_threads() if count * width >= _SMALLEST_SHARED else 1
        run_kernel(QUANTIZERS[rows.dtype](), self._address, threads)


coded_rows = CodedRows()


class FewCodedRows:
    """Codes of a few rows, written and read by the steps of programs, all of which one thread runs."""

    def __init__(self) -> None:
        self._codes: list[torch.Tensor] = []  # the last is the longest; programs may name the others
        self._scales = torch.empty(MOST_FEW_ROWS, dtype=torch.float32)

    def step(self, job: np.void, count: int, rows_at: int, dtype: torch.dtype) -> tuple[int, int, int]:
        """Fills in a QUANTIZE job, whose width is there already; the kernel, and where codes and scales will be."""
        wanted = (MOST_FEW_ROWS + _PADDING) * int(job["width"])
        if not self._codes or len(self._codes[-1]) < wanted:
            self._codes.append(torch.full((wanted,), 128, dtype=torch.uint8))
        codes, scales = self._codes[-1].data_ptr(), self._scales.data_ptr()
        job["next"], job["rows"], job["input"], job["codes"], job["scales"] = 0, count, rows_at, codes, scales
        return QUANTIZERS[dtype](), codes, scales


few_coded_rows = FewCodedRows()
