"""Which attention back end a model gets, and why. The loader decides once; workers follow the model card."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ipc.config import AttentionChoice
from ipc.errors import StartupError
from ipc.model_card import ModelCard
from workers.paged_attention.gathered import GatheredAttention
from workers.paged_attention.interface import AttentionBackend
from workers.paged_attention.reference import ReferenceAttention
from workers.paged_attention.reference_blocks import BlockwiseReference
from workers.paged_attention.varlen import VarlenAttention, varlen_obstacle

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


def choose_device_backend(wanted: AttentionChoice, card: ModelCard) -> BackendChoice:
    """The back end for a decoder on a GPU: torch's paged kernel if it can serve the card's shapes there.

    Raises StartupError when the operator asked for the CPU's back end.
    """
    if wanted == "reference":
        return BackendChoice("reference", "asked for by --attention-backend")
    if wanted == "paged":
        raise StartupError("--attention-backend paged is for CPUs", "use --attention-backend auto")
    device = torch.device("cpu" if card.device == "fake-cuda" else card.device)
    obstacle = varlen_obstacle(card, device)
    if obstacle:
        return BackendChoice("gathered", obstacle)
    return BackendChoice("varlen", "torch's varlen_attn reads KV pages in place, and agrees with the reference")


def kernel_obstacles() -> list[str]:
    """What keeps the compiled kernel from running on this machine; empty: nothing."""
    try:
        import workers.paged_attention.cpu_paged  # noqa: F401  # imports numba, which not every machine has
    except ImportError as error:
        return [f"numba cannot be imported ({error.__class__.__name__})"]
    return []


def make_backend(name: str, batch_invariant: bool = False) -> AttentionBackend:
    """The back end the card names. Starts no thread. Raises StartupError for an unknown name.

    The paged one computes single tokens, and only those, in the same bits whatever else is in the step.
    """
    if name == "reference":
        return BlockwiseReference() if batch_invariant else ReferenceAttention()
    if name == "paged":
        from workers.paged_attention.cpu_paged import PagedAttention  # numba: half a second to import

        return PagedAttention()
    if name == "gathered":
        return GatheredAttention()
    if name == "varlen":
        return VarlenAttention()
    raise StartupError(f"unknown attention back end {name!r}", "restart the server")
