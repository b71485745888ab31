"""Which of a model's linear layers is kept in which way; the same answer before its weights are read and after."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from workers.linear.interface import LinearGroup, LinearShape
from workers.linear.kinds import KINDS

# Heads of a few labels stay plain, and so does what would take so many times a plain weight's bytes: layouts are padded
# to whole tiles.
FEWEST_FEATURES = 32
MOST_PADDING = 1.5
_COPIES = {"compact": 0.8}  # kinds that keep the weight a second time: what that takes at most, in plain weights


@dataclass(frozen=True)
class PlannedLayer:
    """One linear layer, or several that read the same rows, their outputs side by side."""

    names: tuple[str, ...]  # dotted, of modules of the model
    kind: str  # of KINDS
    shape: LinearShape  # of all together
    has_bias: bool  # one of them has


def linear_plan(model: nn.Module, wanted: Sequence[str], groups: Sequence[LinearGroup]) -> list[PlannedLayer]:
    """What to pack, in the model's order; layers that are not named stay plain.

    `wanted`: kinds, the most wanted first. Layers of `groups` come together where all of them can; where there are
    groups, layers of none stay plain: a head that is computed in float32 is one.
    """
    layers = _replaceable(model)
    planned: dict[str, PlannedLayer] = {}
    grouped = {name for group in groups for name in group}
    for names in [tuple(group) for group in groups] + [(name,) for name in layers if not groups or name in grouped]:
        if any(name not in layers or name in planned for name in names):
            continue
        together = _planned(names, [layers[name] for name in names], wanted)
        if together is not None:
            planned.update(dict.fromkeys(names, together))
    return list(dict.fromkeys(planned[name] for name in layers if name in planned))


def planned_bytes(layer: PlannedLayer) -> int:
    """Bytes in the segment, without the bias."""
    return KINDS[layer.kind].num_bytes(layer.shape)


def names_kept_in_float32(model: nn.Module) -> list[str]:
    """Parts of parameter names that transformers keeps in float32 whatever the computing type."""
    names: list[str] = []
    for attribute in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict"):
        names += list(getattr(model, attribute, None) or [])
    return names


def _replaceable(model: nn.Module) -> dict[str, nn.Linear]:
    """Linear layers, by name, that do nothing but multiply; a shared one under each of its names."""
    kept = names_kept_in_float32(model)
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if type(module) is nn.Linear
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and not any(part in name for part in kept)
    }


def _planned(names: tuple[str, ...], modules: list[nn.Linear], wanted: Sequence[str]) -> PlannedLayer | None:
    first = modules[0]
    if any(module.in_features != first.in_features for module in modules):
        return None
    if any(module.weight.dtype is not first.weight.dtype for module in modules):
        return None
    shape = LinearShape(first.in_features, sum(module.out_features for module in modules), first.weight.dtype)
    kind = next((kind for kind in wanted if _is_worth_it(kind, shape)), None)
    has_bias = any(module.bias is not None for module in modules)
    return None if kind is None else PlannedLayer(names, kind, shape, has_bias)


def _is_worth_it(kind: str, shape: LinearShape) -> bool:
    if min(shape.in_features, shape.out_features) < FEWEST_FEATURES or KINDS[kind].obstacle(shape):
        return False
    plain = shape.in_features * shape.out_features * shape.dtype.itemsize
    return KINDS[kind].num_bytes(shape) <= (MOST_PADDING + _COPIES.get(kind, 0)) * plain


def weight_of(modules: Sequence[nn.Linear]) -> torch.Tensor:
    """[outputs of all, in_features]; of a single module its own weight."""
    weights: list[torch.Tensor] = [module.weight for module in modules]
    return weights[0] if len(weights) == 1 else torch.cat(weights)


def bias_of(modules: Sequence[nn.Linear]) -> torch.Tensor | None:
    """[outputs of all], zero where a module has none; None if none has."""
    if all(module.bias is None for module in modules):
        return None
    parts: list[torch.Tensor] = [
        module.weight.new_zeros(module.out_features) if module.bias is None else module.bias for module in modules
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
