"""How many threads compute, and how they wait for one another."""

import os
import sys

# Turns a thread spins at a barrier before it sleeps: tens of microseconds. Sleeping at once costs a fifth of the speed
# on idle cores. OpenMP's own 300,000 turns cost many times the speed as soon as anything else wants one of the cores,
# and frontends and scheduler do: a thread that spins keeps the one it waits for from running.
SPIN_TURNS = "3000"


def limit_spinning() -> None:
    """Set GNU OpenMP's spin count for this process, unless the operator's environment says how threads should wait.

    Said before torch is imported: OpenMP reads its settings once.
    """
    if "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ:
        os.environ["GOMP_SPINCOUNT"] = SPIN_TURNS


def stay_single_threaded() -> None:
    """Keep numpy's linear algebra from starting threads when it is imported: said before that."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def use_threads(threads: int) -> None:
    """Let torch and the compiled kernel compute with `threads` threads from now on, as far as they are imported.

    A process that forks others must not have done this: the threads would be missing in them.
    """
    if "torch" in sys.modules:
        import torch  # a server of fake models works without it

        torch.set_num_threads(threads)
    if "workers.paged_attention.cpu_paged" in sys.modules:
        from workers.paged_attention.cpu_paged import set_threads

        set_threads(threads)
