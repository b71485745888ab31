"""What a worker can do with any model, and how it gets one from a card. torch is imported only when a card needs it."""

from typing import Protocol

from ipc.errors import StartupError
from ipc.model_card import ModelCard
from ipc.step_layout import StepColumns
from workers.fake_model import FakeModel
from workers.rules_of_rows import ReadRules


class ServedModel(Protocol):
    """One model on mapped weights. Opened in the fork server; everything else happens in a worker."""

    def use_pool(self, pool: int, kv: memoryview) -> None:
        """Steps may name this pool from now on; `kv`, its KV pages of this model, stays mapped until `drop_pool`."""
        ...

    def drop_pool(self, pool: int) -> None:
        """No step names this pool any more; nothing of its memory is referred to afterwards. Twice is fine."""
        ...

    def use_rules(self, read: ReadRules) -> None:
        """Read the rules of streams by `read` from now on; a model without streams has none."""
        ...

    @property
    def batch_heights(self) -> tuple[int, ...]:
        """With batch invariance, after `warm_up`: the numbers of rows it computes at once; else ()."""
        ...

    def warm_up(self, batch_heights: tuple[int, ...] = ()) -> None:
        """Run once, without touching any stream's pages. `batch_heights` are known already; (): find them out."""
        ...

    def run(self, columns: StepColumns) -> None:
        """Compute one step and write its result columns. Raises whatever the model raises; no state is harmed by it."""
        ...


def open_model(
    card: ModelCard,
    weights: memoryview | None,
    max_num_seqs: int,
    fake_step_s: float,
    batch_invariant: bool = False,
) -> ServedModel:
    """The card's model, without KV. `weights` must stay mapped as long as it is used; None: they lie on a device.
    Raises StartupError.

    Nothing is computed: the process that opens a model has a single thread and may be forked afterwards.
    """
    if card.is_fake:
        return FakeModel(card, max_num_seqs, fake_step_s)
    if batch_invariant and card.device != "cpu":
        raise StartupError("--batch-invariant is made for CPUs only", "start without it, or with --device cpu")
    if card.task == "generate":
        from workers.decoder import Decoder  # a server of fake models starts without torch

        return Decoder(card, weights, max_num_seqs, batch_invariant)
    from workers.encoder import Encoder

    return Encoder(card, weights, batch_invariant)
