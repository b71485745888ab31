"""Whether a loaded encoder's layers are run by ours, and why; decided once, by the loader."""

import logging
from typing import Any

import torch
from msgspec.structs import replace
from transformers import PreTrainedModel

from ipc.model_card import ModelCard
from workers.lean_encoder.structure import encoder_obstacle
from workers.packed_encoder import EncoderLayers
from workers.paged_attention.choose import kernel_obstacles

_logger = logging.getLogger("zerolane.workers.lean_encoder")
LEAN, MODULES = "lean", "modules"
PROBE_LENGTHS = (1, 5, 33)  # tokens of sequences that are tried: fewer and more than one tile of the attention kernel
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}  # largest difference of states, in units of the largest state


def base_prefix(model: PreTrainedModel) -> str:
    """The dotted name, with a dot at its end, of a model's base; empty for a model without a head."""
    return "" if model.base_model is model else f"{model.base_model_prefix}."


def is_lean_encoder(cls: type[PreTrainedModel], config: Any, options: dict[str, Any]) -> bool:
    """Nothing in the structure of such a model speaks against our layers."""
    if kernel_obstacles():
        return False
    with torch.device("meta"):
        model = cls._from_config(config, **options)
    return not encoder_obstacle(model.base_model)


def with_encoder_layers(
    card: ModelCard, model: PreTrainedModel, modules: EncoderLayers | None, batch_invariant: bool
) -> ModelCard:
    """The card of a loaded score or embed model with what runs its layers. `modules` runs it by its own; None: padded.

    Compiles the kernels, so that workers find them on disk.
    """
    obstacle = "--batch-invariant is proven for transformers' modules" if batch_invariant else ""
    if card.device != "cpu":
        obstacle = "it computes on a GPU"
    obstacle = obstacle or "; ".join(kernel_obstacles()) or encoder_obstacle(model.base_model)
    obstacle = obstacle or ("it runs padded" if modules is None else _difference(model, modules))
    name, reason = (MODULES, obstacle) if obstacle else (LEAN, "its structure is BERT's, and the states are the same")
    _logger.info("layers of %s: %s, because %s", card.name, name, reason)
    return replace(card, layers=name, layers_reason=reason)


@torch.inference_mode()
def _difference(model: PreTrainedModel, modules: EncoderLayers) -> str:
    """Why our layers are not the model's; empty: they give the same states."""
    from workers.lean_encoder.layers import LeanEncoder  # numba: half a second to import

    base: Any = model.base_model
    vocab: int = base.config.vocab_size
    ids = (vocab // 2 + torch.arange(sum(PROBE_LENGTHS)) * 7) % vocab
    types = torch.zeros_like(ids)
    ours = LeanEncoder(model, base_prefix(model), {}).states(ids, types, PROBE_LENGTHS)
    theirs = modules.states(ids, types, PROBE_LENGTHS).float()
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    if difference <= TOLERANCE[base.dtype]:
        return ""
    return f"our layers change its states by {difference:.2g} of the largest"
