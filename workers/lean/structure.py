"""Reads the usual decoder out of a transformers module tree: which modules a layer has, and what they are called.

    embed_tokens -> layers -> norm -> lm_head
    layer: norm -> q, k, v -> attention -> o -> [norm] -> + -> norm -> gate, up -> down -> [norm] -> +

Nothing is computed and no weight is read, so a tree on the meta device will do. A module of a name not known here is an
obstacle: a layer with something more to it must not run without it. Whether the numbers agree is checked elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from workers.linear.interface import LinearGroup
from workers.paged_attention.interface import LayerArguments

_IDENTITIES = (nn.Identity, nn.Dropout)  # do nothing when a model answers
_BODY = {"embed_tokens", "layers", "norm", "rotary_emb"}
_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_SANDWICH = {"pre_feedforward_layernorm", "post_feedforward_layernorm"}
_QKV = ({"q_proj", "k_proj", "v_proj"}, {"qkv_proj"})
_GATE_UP = ({"gate_proj", "up_proj"}, {"gate_up_proj"})


class UnusualStructure(Exception):
    """The model is not built like the usual decoder; says what is different."""


@dataclass(frozen=True)
class LayerParts:
    """One layer's modules. Norms that some families do not have are None."""

    name: str  # dotted, of the layer
    attention: Any
    mlp: Any
    before_attention: Any
    after_attention: Any
    before_mlp: Any
    after_mlp: Any
    qkv: LinearGroup  # dotted names
    output: LinearGroup
    gate_up: LinearGroup
    down: LinearGroup


@dataclass(frozen=True)
class DecoderParts:
    """A decoder's modules."""

    embedding: Any
    rotary: Any
    layers: tuple[LayerParts, ...]
    norm: Any
    head: LinearGroup


def read_structure(model: nn.Module) -> DecoderParts:
    """The parts of a model of the usual structure. Raises UnusualStructure for any other."""
    body: Any = getattr(model, "model", None)
    if body is None or _children(model) != {"model", "lm_head"}:
        raise UnusualStructure("it is not a body called model with an lm_head")
    if _children(body) != _BODY:
        raise UnusualStructure(f"its body has {', '.join(sorted(_children(body) ^ _BODY))}")
    layers = tuple(_read_layer(f"model.layers.{index}", layer) for index, layer in enumerate(body.layers))
    return DecoderParts(body.embed_tokens, body.rotary_emb, layers, body.norm, ("lm_head",))


def linear_groups(parts: DecoderParts) -> Iterator[LinearGroup]:
    """The products a step makes, in its order."""
    for layer in parts.layers:
        yield from (layer.qkv, layer.output, layer.gate_up, layer.down)
    yield parts.head


def attention_arguments(attention: Any) -> LayerArguments:
    """What an attention module passes to its attention function; compared with what it really passes at load."""
    window = getattr(attention, "sliding_window", None)
    if not hasattr(attention, "sliding_window") and not hasattr(attention, "layer_type"):
        window = getattr(attention.config, "sliding_window", None)
    return LayerArguments(
        scaling=float(attention.scaling),
        sliding_window=int(window or 0),
        softcap=float(getattr(attention, "attn_logit_softcapping", None) or 0.0),
        sinks=getattr(attention, "sinks", None),
    )


def _read_layer(name: str, layer: Any) -> LayerParts:
    children = _children(layer)
    if children not in (_LAYER, _LAYER | _SANDWICH):
        raise UnusualStructure(f"its layers have {', '.join(sorted(children ^ _LAYER))}")
    is_sandwich = children != _LAYER
    attention, mlp = layer.self_attn, layer.mlp
    of_attention = _children(attention) - {"o_proj", "q_norm", "k_norm"}
    if of_attention not in _QKV or ("q_norm" in _children(attention)) != ("k_norm" in _children(attention)):
        raise UnusualStructure(f"its attention has {', '.join(sorted(_children(attention)))}")
    of_mlp = _children(mlp) - {"down_proj", "act_fn", "activation_fn"}
    if of_mlp not in _GATE_UP:
        raise UnusualStructure(f"its MLP has {', '.join(sorted(_children(mlp)))}")
    qkv = ("q_proj", "k_proj", "v_proj") if "q_proj" in of_attention else ("qkv_proj",)
    gate_up = ("gate_proj", "up_proj") if "gate_proj" in of_mlp else ("gate_up_proj",)
    return LayerParts(
        name=name,
        attention=attention,
        mlp=mlp,
        before_attention=layer.input_layernorm,
        after_attention=layer.post_attention_layernorm if is_sandwich else None,
        before_mlp=layer.pre_feedforward_layernorm if is_sandwich else layer.post_attention_layernorm,
        after_mlp=layer.post_feedforward_layernorm if is_sandwich else None,
        qkv=tuple(f"{name}.self_attn.{part}" for part in qkv),
        output=(f"{name}.self_attn.o_proj",),
        gate_up=tuple(f"{name}.mlp.{part}" for part in gate_up),
        down=(f"{name}.mlp.down_proj",),
    )


def _children(module: nn.Module) -> set[str]:
    """Names of what a module is made of, but for what does nothing."""
    return {name for name, child in module.named_children() if not isinstance(child, _IDENTITIES)}
