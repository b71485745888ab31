"""Kernels one after the other in all threads, by one call.

A token's step is some two hundred kernels and products, and many take less time than Python and OpenMP need between
two of them. Here threads meet at OpenMP's own barrier after each and go on at once.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from workers.lean.compiled import kernel, pointer_to
from workers.lean.openmp import barrier_address, run_kernel

# A kernel's function and its job: both addresses. A job occurs once, and starts with the counter threads share.
Step = tuple[int, int]
_PROGRAM = np.dtype(
    [
        ("count", np.int64),
        ("steps", np.uintp),  # uintp [count, 2]: functions and jobs
        ("barrier", np.uintp),  # function without arguments that returns when all threads have called it
    ],
    align=True,
)


@intrinsic
def _call(typing_context: Any, function: Any, job: Any) -> Any:
    """function(job), both addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
        function, job = arguments
        builder.call(builder.inttoptr(function, kind.as_pointer()), [builder.inttoptr(job, cgutils.voidptr_t)])
        return context.get_dummy_value()

    return types.none(types.uintp, types.uintp), generate


@intrinsic
def _wait(typing_context: Any, function: Any) -> Any:
    """function(), an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.call(builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), []).as_pointer()), [])
        return context.get_dummy_value()

    return types.none(types.uintp), generate


@kernel
def _run(job_at: Any) -> None:
    program = numba.carray(job_at, 1, _PROGRAM)[0]
    steps = numba.carray(pointer_to(program.steps), (program.count, 2), np.uintp)
    for index in range(program.count):
        function, job = steps[index, 0], steps[index, 1]
        _call(function, job)
        _wait(program.barrier)
        numba.carray(pointer_to(job), (1,), np.int64)[0] = 0  # ready for the next run; every thread says the same


class Program:
    """Steps that are run again and again. Used by one thread."""

    def __init__(self, steps: list[Step]) -> None:
        """The jobs' memory must stay where it is; their counters are 0 before the first run, and after each."""
        self._steps = np.array(steps, np.uintp)
        self._record = np.zeros(1, _PROGRAM)
        self._address: int = self._record.ctypes.data
        record = self._record[0]
        record["count"], record["steps"], record["barrier"] = len(steps), self._steps.ctypes.data, barrier_address()

    def run(self, threads: int) -> None:
        """Returns when all is done. `threads` is 1 or what torch computes with."""
        run_kernel(_run(), self._address, threads)


def can_run() -> bool:
    """There is a barrier for threads to meet at. Reads the kernel from disk, or compiles it."""
    if barrier_address() == 0:
        return False
    _run()
    return True
