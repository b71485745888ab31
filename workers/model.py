"""Builds a transformers model without memory of its own and hangs the pool's weights into it.

The module tree is made on torch's "meta" device (no allocation, no initialisation), then every parameter, buffer
and plain tensor attribute is replaced by a view on the weights segment. Attention goes through a function given by
the caller, registered with transformers under a name of its own. What a step is, is not known here.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AttentionInterface, AutoConfig, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from ipc.errors import StartupError
from ipc.model_card import ModelCard
from workers.pool import torch_dtype
from workers.weights_manifest import Place, TensorEntry

AttentionFunction = Callable[..., tuple[torch.Tensor, None]]


def register_attention(name: str, function: AttentionFunction) -> None:
    """Let models built with attention `name` call `function`, and build no mask."""
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, _no_mask)


def _no_mask(*_args: object, **_kwargs: object) -> None:
    """Who sees whom follows from the step's plan."""


def read_config(path: str, trust_remote_code: bool) -> Any:
    """The model's transformers configuration, from local files only."""
    return AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code, local_files_only=True)


def model_class(architecture: str, config: Any, path: str, trust_remote_code: bool) -> type[PreTrainedModel]:
    """The class called `architecture`: transformers' own, or the model's code if trusted. Raises StartupError."""
    auto_map: dict[str, str] = getattr(config, "auto_map", None) or {}
    if trust_remote_code:
        for reference in auto_map.values():
            if reference.rpartition(".")[2] == architecture:
                from transformers.dynamic_module_utils import get_class_from_dynamic_module

                remote: type[PreTrainedModel] = get_class_from_dynamic_module(reference, path)
                return remote
    found = getattr(transformers, architecture, None)
    if isinstance(found, type) and issubclass(found, PreTrainedModel):
        return found
    advice = "install a transformers version that has it"
    if auto_map:
        advice += ", or use --trust-remote-code if you trust the model's own code"
    raise StartupError(f"architecture {architecture} is not in transformers {transformers.__version__}", advice)


def build_on_meta(card: ModelCard, attention: str | None) -> PreTrainedModel:
    """The card's model in evaluation mode, all its tensors on the meta device.

    `attention` None keeps the model's own.
    """
    config = read_config(card.path, card.trust_remote_code)
    cls = model_class(card.architecture, config, card.path, card.trust_remote_code)
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    with torch.device("meta"):
        model: PreTrainedModel = cls._from_config(config, dtype=torch_dtype(card.dtype), **options)
    model.eval()
    return model


def named_tensors(model: nn.Module) -> list[tuple[str, Place, torch.Tensor]]:
    """Every tensor a model holds: parameters, buffers, and tensors kept as plain attributes of modules."""
    found: list[tuple[str, Place, torch.Tensor]] = []
    for path, module in model.named_modules(remove_duplicate=False):
        dot = f"{path}." if path else ""
        places: Iterable[tuple[Place, dict[str, Any]]] = (
            ("parameter", module._parameters),
            ("buffer", module._buffers),
            ("attribute", module.__dict__),
        )
        for place, members in places:
            found += [(dot + name, place, member) for name, member in members.items() if torch.is_tensor(member)]
    return found


def hang_weights(model: PreTrainedModel, mapped: list[tuple[TensorEntry, torch.Tensor]]) -> None:
    """Put mapped tensors where the manifest says. Raises StartupError if one has no place or a place stays empty."""
    for entry, tensor in mapped:
        path, _, name = entry.name.rpartition(".")
        try:
            module = model.get_submodule(path)
        except AttributeError as error:
            raise StartupError(f"the weights segment holds {entry.name}, the model has no such place") from error
        _place(module, name, entry.place, tensor)
    empty = [name for name, _, tensor in named_tensors(model) if tensor.device.type == "meta"]
    if empty:
        raise StartupError(f"the model's tensor {empty[0]} is not in the weights segment ({len(empty)} missing)")


def _place(module: nn.Module, name: str, place: Place, tensor: torch.Tensor) -> None:
    if place == "parameter":
        module._parameters[name] = nn.Parameter(tensor, requires_grad=False)
    elif place == "buffer":
        module._buffers[name] = (
            tensor.clone()
        )  # some models write to theirs (rotary frequencies); the mapping is read-only
    else:
        module.__dict__[name] = tensor.clone()
