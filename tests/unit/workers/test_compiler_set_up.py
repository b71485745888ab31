"""The compiler is set up before workers are forked; that must not change how its kernels run."""

import numba

from workers.paged_attention.cpu_paged import set_up_compiler


def test_kernels_keep_threads_that_sleep() -> None:
    """numba reads its settings again when it compiles: it took OpenMP's threads, and decoding lost half its speed."""
    set_up_compiler()
    assert numba.config.THREADING_LAYER == "workqueue"  # type: ignore[attr-defined]
