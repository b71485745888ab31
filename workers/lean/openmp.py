"""Runs compiled kernels on the threads torch computes with.

Between two products the kernels here take microseconds. A thread pool of their own would sleep while torch's computes
and have to be woken, and torch's threads, still spinning, would keep the cores from it: that costs more than the
kernels themselves. So a kernel is handed to the very OpenMP library torch has loaded, whose threads still spin.
"""

import ctypes
import functools
import logging
from pathlib import Path

_logger = logging.getLogger("zerolane.workers.lean")
_MAPS = Path("/proc/self/maps")


def run_kernel(function: int, job: int, threads: int) -> None:
    """Call the compiled `function(job)`, both addresses, in `threads` threads at once; returns when all are through.

    `threads` is 1 or what torch computes with: another number would make OpenMP build its threads anew.
    """
    start = _parallel() if threads > 1 else None
    if start is None:
        _SIGNATURE(function)(job)
    else:
        start(function, job, threads, 0)


_SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def barrier_address() -> int:
    """Of the function that returns when all threads of `run_kernel` have called it; 0: there is none to be found."""
    path = _library()
    if path is None:
        return 0
    return ctypes.cast(ctypes.CDLL(path).GOMP_barrier, ctypes.c_void_p).value or 0


@functools.cache
def _parallel() -> "ctypes._NamedFuncPointer | None":
    """GNU OpenMP's entry point in the library torch uses (LLVM's has it too); None: there is none to be found."""
    path = _library()
    if path is None:
        _logger.info("torch's OpenMP library was not found: small kernels run on one thread")
        return None
    start = ctypes.CDLL(path).GOMP_parallel
    start.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    start.restype = None
    return start


def _library() -> str | None:
    """The OpenMP library in this process; torch's own where there are several."""
    if not _MAPS.exists():
        return None
    found = {line[line.index("/") :] for line in _MAPS.read_text().splitlines() if "/" in line}
    names = ("libgomp", "libiomp", "libomp")
    libraries = sorted(path for path in found if Path(path).name.startswith(names))
    if len(libraries) > 1:
        libraries = [path for path in libraries if "torch" in path] or libraries
    return libraries[0] if libraries else None
