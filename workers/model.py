"""Builds a transformers model without memory of its own and hangs the pool's weights into it.

The module tree is made on torch's "meta" device (no allocation, no initialisation), then every parameter, buffer
and plain tensor attribute is replaced by a view on the weights segment. Attention goes through a function given by
the caller, registered with transformers under a name of its own. What a step is, is not known here.
"""

import inspect
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AttentionInterface, AutoConfig, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from ipc.errors import StartupError
from ipc.model_card import ModelCard, Task
from workers.linear.open_layers import OpenLayers, hang_layers, tensor_names
from workers.pool import torch_dtype
from workers.pooling import DenseTail
from workers.sentence_files import SentenceFiles, read_sentence_files
from workers.weights_manifest import Place, TensorEntry

AttentionFunction = Callable[..., tuple[torch.Tensor, None]]
NO_LAYERS: OpenLayers = MappingProxyType({})
DENSE_TAIL = "sentence_dense_tail"  # a model's attribute: what comes after pooling, with its weights in one segment


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


def base_class(architecture: str, config: Any, path: str, trust_remote_code: bool) -> type[PreTrainedModel]:
    """The class of the model without a head, which gives states to make vectors of. Raises StartupError."""
    auto_map: dict[str, str] = getattr(config, "auto_map", None) or {}
    if trust_remote_code and "AutoModel" in auto_map:
        return model_class(auto_map["AutoModel"].rpartition(".")[2], config, path, trust_remote_code)
    mapping: Any = transformers.MODEL_MAPPING
    found = mapping.get(type(config), None)
    if isinstance(found, type) and issubclass(found, PreTrainedModel):
        return found
    return model_class(architecture, config, path, trust_remote_code)


def class_for(
    task: Task, architecture: str, config: Any, path: str, trust_remote_code: bool
) -> tuple[type[PreTrainedModel], dict[str, Any]]:
    """The class that serves a model for `task`, and what to build it with. Raises StartupError."""
    if task != "embed":
        return model_class(architecture, config, path, trust_remote_code), {}
    cls = base_class(architecture, config, path, trust_remote_code)
    # BERT's pooler is for classification; checkpoints of embedding models often lack it
    has_pooler = "add_pooling_layer" in inspect.signature(cls.__init__).parameters
    return cls, {"add_pooling_layer": False} if has_pooler else {}


def build_on_meta(card: ModelCard, attention: str | None) -> PreTrainedModel:
    """The card's model in evaluation mode, all its tensors on the meta device.

    `attention` None keeps the model's own.
    """
    config = read_config(card.path, card.trust_remote_code)
    cls, options = class_for(card.task, card.architecture, config, card.path, card.trust_remote_code)
    if attention is not None:
        options["attn_implementation"] = attention
    with torch.device("meta"):
        model: PreTrainedModel = cls._from_config(config, dtype=torch_dtype(card.dtype), **options)
        if card.task == "embed":
            add_dense_tail(model, read_sentence_files(card.name, card.path))
    model.eval()
    return model


def add_dense_tail(model: PreTrainedModel, files: SentenceFiles) -> DenseTail:
    """Hang the layers after pooling into the model, so that their weights go where its own go; not filled yet."""
    tail = DenseTail(files.dense)
    model.add_module(DENSE_TAIL, tail)
    return tail


def dense_tail(model: PreTrainedModel) -> DenseTail:
    """What `add_dense_tail` added."""
    tail: Any = model.get_submodule(DENSE_TAIL)
    assert isinstance(tail, DenseTail)
    return tail


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


def hang_weights(
    model: PreTrainedModel, mapped: list[tuple[TensorEntry, torch.Tensor]], layers: OpenLayers = NO_LAYERS
) -> None:
    """Put mapped tensors where the manifest says, and linear layers where they have a module of their own.

    Raises StartupError if a tensor has no place or a place stays empty.
    """
    for entry, tensor in mapped:
        path, _, name = entry.name.rpartition(".")
        try:
            module = model.get_submodule(path)
        except AttributeError as error:
            raise StartupError(f"the weights segment holds {entry.name}, the model has no such place") from error
        _place(module, name, entry.place, tensor)
    elsewhere = set(tensor_names(hang_layers(model, layers)))
    empty = [name for name, _, tensor in named_tensors(model) if tensor.device.type == "meta" and name not in elsewhere]
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
