"""How the threads that compute wait for one another. Said before torch is imported: OpenMP reads its settings once."""

import os

# Turns a thread spins at a barrier before it sleeps: tens of microseconds. Sleeping at once costs a fifth of the speed
# on idle cores. OpenMP's own 300,000 turns cost many times the speed as soon as anything else wants one of the cores,
# and frontends and scheduler do: a thread that spins keeps the one it waits for from running.
SPIN_TURNS = "3000"


def limit_spinning() -> None:
    """Set GNU OpenMP's spin count for this process, unless the operator's environment says how threads should wait."""
    if "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ:
        os.environ["GOMP_SPINCOUNT"] = SPIN_TURNS
