"""The one line that says the server can be used."""

from collections.abc import Sequence

from ipc.model_card import ModelCard


def ready_line(url: str, cards: Sequence[ModelCard], seconds: float) -> str:
    """Address, models with their tasks, and how long the start took."""
    models = ", ".join(f"{card.name} ({card.task})" for card in cards)
    return f"zerolane is ready on {url} after {seconds:.1f} s: {models}"
