"""Which encoders have BERT's structure, and where in the module tree their products lie."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workers.lean_encoder.products import GELU
from workers.linear.interface import LinearGroup

LAYERS = {f"{family}Layer" for family in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra")}
EMBEDDINGS = {"word_embeddings", "position_embeddings", "token_type_embeddings", "LayerNorm", "dropout"}
# What a layer has weights in: one with something more to it, such as adapters, must not run without it.
PARTS = {f"attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense", "output.LayerNorm")}
PARTS |= {"intermediate.dense", "output.dense", "output.LayerNorm"}
TYPES = (torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class LayerNames:
    """Dotted names of one layer's linear modules, those that are one product together."""

    qkv: LinearGroup
    attended: LinearGroup
    up: LinearGroup
    down: LinearGroup


def encoder_obstacle(base: Any) -> str:
    """Why `base`, a model without a head, is not run by our layers; empty: it is, if it then computes the same."""
    layers = getattr(getattr(base, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList) or type(layers[0]).__name__ not in LAYERS:
        return f"{type(base).__name__} has layers of another structure"
    if any(_parts(layer) != PARTS for layer in layers):
        return f"{type(base).__name__} has layers with more to them than BERT's"
    others = {name for name, _ in base.embeddings.named_children()} ^ EMBEDDINGS
    if others or hasattr(base, "embeddings_project"):
        return f"{type(base).__name__} makes its first states in a way of its own"
    config = base.config
    if config.hidden_act not in GELU:
        return f"its activation is {config.hidden_act}"
    if getattr(config, "is_decoder", False) or getattr(config, "position_embedding_type", "absolute") != "absolute":
        return "its attention is not that of an encoder with absolute positions"
    return "" if base.dtype in TYPES else f"it computes in {base.dtype}"


def _parts(layer: nn.Module) -> set[str]:
    return {name for name, module in layer.named_modules() if any(True for _ in module.parameters(recurse=False))}


def layer_names(base: Any, prefix: str) -> list[LayerNames]:
    """Of every layer. `prefix`: where `base` is in its model, with a dot at its end; empty: it is the model."""
    return [_names(f"{prefix}encoder.layer.{index}.") for index in range(len(base.encoder.layer))]


def encoder_groups(base: Any, prefix: str) -> list[LinearGroup]:
    """All layers' products."""
    return [group for names in layer_names(base, prefix) for group in (names.qkv, names.attended, names.up, names.down)]


def _names(layer: str) -> LayerNames:
    attention = f"{layer}attention."
    return LayerNames(
        qkv=tuple(f"{attention}self.{name}" for name in ("query", "key", "value")),
        attended=(f"{attention}output.dense",),
        up=(f"{layer}intermediate.dense",),
        down=(f"{layer}output.dense",),
    )
