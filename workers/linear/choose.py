"""How a model's linear layers are kept, and why: asked for, or what this machine is fastest with."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from msgspec.structs import replace
from torch import nn

from ipc.config import CompactWeights, Quantization
from ipc.errors import StartupError
from ipc.model_card import ModelCard
from workers.lean.plain_linear import PlainLinear
from workers.linear.groups import groups_of
from workers.linear.interface import LinearGroup, LinearShape
from workers.linear.kinds import KINDS
from workers.linear.open_layers import OpenedLinear, replace_module
from workers.linear.plan import PlannedLayer, linear_plan
from workers.linear.self_check import wrong_layers
from workers.load_weights import plan_bytes
from workers.pool import torch_dtype

PLAIN, PACKED, COMPACT = "plain", "packed", "compact"
# Kinds in which a model's layers are kept, the most wanted first: a shape that one cannot have takes the next.
WANTED = {PLAIN: (), PACKED: (PACKED,), COMPACT: (COMPACT, PACKED), "int8": ("int8", PACKED), "int4": ("int4", PACKED)}
_NOT_ASKED_FOR = (PLAIN, PACKED, COMPACT)  # where they do not work, layers stay plain
_MOST_OF_FREE = 8  # compact copies take at most one part in so many of the memory that is free
_TYPICAL = 1024  # features of a layer that only its type may keep from being packed
_logger = logging.getLogger("zerolane.workers.linear")


@dataclass(frozen=True)
class LinearChoice:
    kind: str  # a key of WANTED
    reason: str


def choose_linear(quantization: Quantization, batch_invariant: bool, device: str, dtype: str) -> LinearChoice:
    """The way for a model that computes in `dtype` on `device`. Raises StartupError if what is asked for cannot be."""
    obstacle = ""
    if device != "cpu":
        obstacle = "it computes on a GPU"
    elif batch_invariant:
        obstacle = "--batch-invariant is proven for plain weights"
    if quantization != "none":
        obstacle = obstacle or _obstacle(quantization, dtype)
        if obstacle:
            raise StartupError(f"--quantization {quantization} is not possible: {obstacle}", "start without it")
        return LinearChoice(quantization, "asked for by --quantization")
    obstacle = obstacle or _obstacle(PACKED, dtype)
    if obstacle:
        return LinearChoice(PLAIN, obstacle)
    return LinearChoice(
        PACKED, "oneDNN multiplies with them up to half again as fast in bfloat16, twice to three times in float32"
    )


def choose_compact(card: ModelCard, model: nn.Module, wanted: CompactWeights, free: int) -> ModelCard:
    """The card of a model on the meta device, its layers compact if it is a decoder and that is asked for or worth it.

    `free`: bytes of memory that this model may take. Raises StartupError if what is asked for cannot be.
    """
    if wanted == "off" or card.task != "generate":
        return card
    obstacle = "" if card.linear == PACKED else f"its linear layers are {card.linear}: {card.linear_reason}"
    obstacle = obstacle or _obstacle(COMPACT, card.dtype)
    compact = replace(card, linear=COMPACT)
    packed = copies = 0
    if not obstacle:
        packed = most_bytes(card, model)
        copies = most_bytes(compact, model) - packed
        obstacle = "" if copies else "it has no linear layer of a shape for that"
    if obstacle and wanted == "on":
        raise StartupError(f"model {card.name}: --compact-weights is not possible: {obstacle}", "start without it")
    if obstacle:
        return card
    left = max(0, free - packed)
    if wanted == "auto" and copies * _MOST_OF_FREE > left:
        taken = f"compact copies would take {copies >> 20:,} of the {left >> 20:,} MiB that are left"
        return replace(card, linear_reason=f"{card.linear_reason}; {taken}")
    reason = f"few streams read a quarter less memory for a token; the copies take {copies >> 20:,} MiB"
    return replace(compact, linear_reason=reason)


def most_bytes(card: ModelCard, model: nn.Module) -> int:
    """What the weights segment of a model on the meta device may come to."""
    return max(plan_bytes(model, plan) for plan in possible_plans(card, model))


def possible_plans(card: ModelCard, model: nn.Module) -> list[list[PlannedLayer]]:
    """What `checked_plan` may come to, for a model on the meta device; the memory kept for it must do for each."""
    wanted = WANTED[card.linear]
    plans = [linear_plan(model, wanted, groups) for groups in (groups_of(card, model), [])]
    if card.linear == COMPACT:
        return plans + possible_plans(replace(card, linear=PACKED), model)
    return [*plans, []] if card.linear in _NOT_ASKED_FOR else plans


def checked_plan(card: ModelCard, model: nn.Module, run: Callable[[], object]) -> tuple[ModelCard, list[PlannedLayer]]:
    """What to pack of a loaded model, after trying; the card says what came of it.

    `run` lets the model's modules compute something. Raises StartupError if layers do not work in a way asked for.
    """
    groups: list[LinearGroup] = groups_of(card, model) if card.layers == "lean" else []
    plan = linear_plan(model, WANTED[card.linear], groups)
    if card.linear != PLAIN and not plan:
        card = replace(card, linear=PLAIN, linear_reason="it has no linear layers that are large enough")
    run_by_us = {name for group in groups for name in group}
    replaced = [layer.names[0] for layer in plan if layer.names[0] not in run_by_us]
    problem = wrong_layers(model, plan)
    if problem and card.linear == COMPACT:
        _logger.warning("%s: no compact weights: %s", card.name, problem)
        return checked_plan(replace(card, linear=PACKED, linear_reason=f"no compact ones: {problem}"), model, run)
    problem = problem or _runs_replaced(model, replaced, run)
    if problem and card.linear not in _NOT_ASKED_FOR:
        raise StartupError(f"model {card.name}: --quantization {card.linear} fails: {problem}", "start without it")
    if problem:
        _logger.warning("%s: linear layers stay plain: %s", card.name, problem)
        card, plan = replace(card, linear=PLAIN, linear_reason=problem), []
    _logger.info("linear layers of %s: %s, because %s", card.name, card.linear, card.linear_reason)
    if plan:
        _logger.info("%s: %s", card.name, _counted(model, plan))
    return card, plan


def _obstacle(kind: str, dtype: str) -> str:
    if kind not in KINDS:
        return f"there is no {kind} here"
    return KINDS[kind].obstacle(LinearShape(_TYPICAL, _TYPICAL, torch_dtype(dtype)))


def _counted(model: nn.Module, plan: list[PlannedLayer]) -> str:
    """For the log: how many layers are kept in which way."""
    everything = sum(type(module) is nn.Linear for _, module in model.named_modules(remove_duplicate=False))
    kinds = {kind: sum(len(layer.names) for layer in plan if layer.kind == kind) for kind in KINDS}
    parts = [f"{count} linear layers are {kind}" for kind, count in kinds.items() if count]
    rest = everything - sum(kinds.values())
    return ", ".join([*parts, *([f"{rest} plain"] if rest else [])])


@torch.inference_mode()
def _runs_replaced(model: nn.Module, names: list[str], run: Callable[[], object]) -> str:
    """Why the model's code needs its linear modules to be torch's own; empty: it only calls them."""
    if not names:
        return ""
    originals = {name: model.get_submodule(name) for name in names}
    try:
        for name, module in originals.items():
            replace_module(model, name, OpenedLinear(PlainLinear([module])))
        run()
    except (AttributeError, TypeError) as error:
        return f"its code looks into its linear layers ({error})"
    finally:
        for name, module in originals.items():
            replace_module(model, name, module)
    return ""
