"""Which attention back end a model gets, and why. The loader decides once; workers follow the model card."""

from collections.abc import Sequence
from dataclasses import dataclass

from ipc.config import AttentionChoice
from ipc.errors import StartupError
from workers.paged_attention.interface import AttentionBackend
from workers.paged_attention.reference import ReferenceAttention

PAGED_DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class BackendChoice:
    name: str
    reason: str


def choose_backend(wanted: AttentionChoice, dtype: str, missing: Sequence[str]) -> BackendChoice:
    """The back end for a decoder computing in `dtype`; `missing` says what speaks against the compiled kernel here.

    Raises StartupError when the operator asked for the paged back end and it cannot be had.
    """
    obstacles = list(missing)
    if dtype not in PAGED_DTYPES:
        obstacles.append(f"the compiled kernel does not know {dtype}")
    if wanted == "reference":
        return BackendChoice("reference", "asked for by --attention-backend")
    if wanted == "paged" and obstacles:
        raise StartupError(
            f"--attention-backend paged is not possible: {'; '.join(obstacles)}", "use --attention-backend auto"
        )
    if obstacles:
        return BackendChoice("reference", "; ".join(obstacles))
    why = (
        "asked for by --attention-backend" if wanted == "paged" else "reads KV pages in place, fastest on this machine"
    )
    return BackendChoice("paged", why)


def kernel_obstacles() -> list[str]:
    """What keeps the compiled kernel from running on this machine; empty: nothing."""
    try:
        import workers.paged_attention.cpu_paged  # noqa: F401  # imports numba, which not every machine has
    except ImportError as error:
        return [f"numba cannot be imported ({error.__class__.__name__})"]
    return []


def make_backend(name: str, threads: int) -> AttentionBackend:
    """The back end the card names. Raises StartupError for an unknown name."""
    if name == "reference":
        return ReferenceAttention()
    if name == "paged":
        from workers.paged_attention.cpu_paged import PagedAttention, set_threads  # numba: half a second to import

        set_threads(threads)
        return PagedAttention()
    raise StartupError(f"unknown attention back end {name!r}", "restart the server")
