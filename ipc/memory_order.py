"""The one place that knows how far this machine's processors may reorder loads and stores.

Python offers no fence. On x86 stores become visible in program order, and loads happen in program order; only a load
may overtake an earlier store, and a lock's atomic instruction stops that. On every other machine we use C11's
atomic_thread_fence(seq_cst) from libatomic where that library is installed, else two passes through a lock (acquire,
release, acquire: what stood before the release cannot follow the second acquire), and producers always ring the
doorbell. With every sleep bounded, an ordering missed for a moment costs one bounded sleep.
"""

import ctypes
import platform
import threading
from collections.abc import Callable

STRONGLY_ORDERED = platform.machine() in ("x86_64", "AMD64", "i686", "i386")
_SEQ_CST = 5  # memory_order_seq_cst in C11's <stdatomic.h>


def full_fence() -> Callable[[], None]:
    """A function that keeps all earlier loads and stores before all later ones."""
    if STRONGLY_ORDERED:
        return _lock_fence(passes=1)
    try:
        fence = ctypes.PyDLL("libatomic.so.1").atomic_thread_fence
    except (OSError, AttributeError):
        return _lock_fence(passes=2)
    return lambda: fence(_SEQ_CST)


def _lock_fence(passes: int) -> Callable[[], None]:
    lock = threading.Lock()

    def once() -> None:
        with lock:
            pass

    def twice() -> None:
        with lock:
            pass
        with lock:
            pass

    return once if passes == 1 else twice
