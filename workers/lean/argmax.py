"""Greedy tokens of logits on the CPU: read once, in their own type, by all threads."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch

from workers.lean.compiled import INNER, kernel, pointer_to, take_ticket
from workers.lean.jobs import ARGMAX, Jobs
from workers.lean.openmp import run_kernel

_BLOCK = 2048  # logits whose largest is found before it is asked where it stands
SERIAL_BELOW = 1 << 20  # logits: a second thread that is woken takes the scheduler's core, which works just then
_INFINITE = np.int16(0x7F80)


@numba.njit(**INNER)
def _key(bits: Any) -> Any:
    """int16 in the order of the bfloat16 numbers with these bits: zeros are equal, what is no number is the largest."""
    if np.int16(bits & np.int16(0x7FFF)) > _INFINITE:
        return np.int16(0x7FFF)
    key = np.int16(bits ^ np.int16(np.int16(bits >> np.int16(15)) & np.int16(0x7FFF)))
    return np.int16(0) if key == np.int16(-1) else key


@numba.njit(**INNER)
def _find(row: Any) -> Any:
    """Where the first largest of bfloat16 numbers stands, given as int16 [n], and its key.

    By integers: with floats, what is to become of NaN keeps the loop from being vectors.
    """
    best: Any = np.int16(-32768)
    found = 0
    for begin in range(0, len(row), _BLOCK):
        block = row[begin : begin + _BLOCK]
        highest = np.int16(-32768)
        for i in range(len(block)):
            highest = max(highest, _key(block[i]))
        if highest > best or begin == 0:
            best, found = highest, begin
    for i in range(found, len(row)):
        if _key(row[i]) == best:
            return i, best
    return 0, best


@kernel
def argmax_bfloat16(job_at: Any) -> None:
    """An ARGMAX job."""
    record = numba.carray(job_at, 1, ARGMAX)
    job, ticket_at = record[0], record.ctypes.data
    tokens = numba.carray(pointer_to(job.tokens), (job.rows,), np.int32)
    logits = numba.carray(pointer_to(job.logits), (job.rows, job.vocab), np.int16)
    while True:
        row = take_ticket(ticket_at)
        if row >= job.rows:
            break
        index, key = _find(logits[row])
        tokens[row] = np.int32(index) if key < _INFINITE and key > ~_INFINITE else np.int32(-1)


_job = Jobs(ARGMAX, 1)


def greedy_argmax(logits: torch.Tensor) -> npt.NDArray[np.int32]:
    """[n] tokens for contiguous bfloat16 logits [n, vocab] on the CPU, of equal logits the first; -1 for a row
    whose largest logit is no finite number, or that holds one that is no number.
    """
    tokens = np.empty(len(logits), np.int32)
    job = _job.records[0]
    job["next"], job["rows"], job["vocab"] = 0, logits.shape[0], logits.shape[1]
    job["logits"], job["tokens"] = logits.data_ptr(), tokens.ctypes.data
    is_small = len(logits) == 1 or logits.numel() < SERIAL_BELOW  # a row is one thread's
    run_kernel(argmax_bfloat16(), _job.address(0), 1 if is_small else torch.get_num_threads())
    return tokens
