"""Which linear layers of a model read the same rows and are run as one product by layers of our own."""

from typing import Any

from ipc.model_card import ModelCard
from workers.linear.interface import LinearGroup


def groups_of(card: ModelCard, model: Any) -> list[LinearGroup]:
    """All products of a model whose layers we run, single ones too; empty for one that transformers' modules run.

    Only the structure is looked at: a tree on the meta device will do.
    """
    if card.task == "generate":
        from workers.lean.structure import UnusualStructure, linear_groups, read_structure

        try:
            return list(linear_groups(read_structure(model)))
        except UnusualStructure:
            return []
    from workers.lean_encoder.structure import encoder_groups, encoder_obstacle

    base = model.base_model
    if encoder_obstacle(base):
        return []
    return encoder_groups(base, "" if base is model else f"{model.base_model_prefix}.")
