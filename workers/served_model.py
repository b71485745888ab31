"""What a worker can do with any model, and how it gets one from a card. torch is imported only when a card needs it."""

from typing import Protocol

from ipc.model_card import ModelCard
from ipc.step_layout import StepColumns
from workers.fake_model import FakeModel


class ServedModel(Protocol):
    """One mapped model."""

    def warm_up(self) -> None:
        """Run once, without touching any stream's pages."""
        ...

    def run(self, columns: StepColumns) -> None:
        """Compute one step and write its result columns. Raises whatever the model raises; no state is harmed by it."""
        ...


def open_model(
    card: ModelCard,
    weights: memoryview | None,
    kv: memoryview | None,
    max_num_seqs: int,
    threads: int,
    fake_step_s: float,
) -> ServedModel:
    """Map the card's model. The memory must stay mapped as long as the model is used. Raises StartupError."""
    if card.is_fake or weights is None:
        return FakeModel(card, kv, max_num_seqs, fake_step_s)
    import torch  # a server of fake models starts without it

    torch.set_num_threads(threads)
    if card.task == "generate":
        from workers.decoder import Decoder

        return Decoder(card, weights, kv, max_num_seqs, threads)
    from workers.encoder import Encoder

    return Encoder(card, weights)
