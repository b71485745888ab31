"""What a step needs of every layer beside its products: norms' weights as float32, numbers of the architecture.

Computed once in the process that computes, so that opening a model stays without computing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workers.lean.elementwise_kernels import Activation
from workers.lean.norm_rule import NormRule, find_norm_rule
from workers.lean.structure import DecoderParts, UnusualStructure
from workers.paged_attention.interface import LayerArguments

_ACTIVATIONS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    Activation.SILU: nn.functional.silu,
    Activation.GELU_TANH: lambda rows: nn.functional.gelu(rows, approximate="tanh"),
}


@dataclass(frozen=True)
class Norm:
    """One norm's numbers."""

    weight: torch.Tensor  # float32 [width]
    eps: float


@dataclass(frozen=True)
class LayerNumbers:
    """One layer's norms, None where the family has none, and what its attention is told."""

    before_attention: Norm
    query: Norm | None
    key: Norm | None
    after_attention: Norm | None
    before_mlp: Norm
    after_mlp: Norm | None
    attention: LayerArguments
    sinks: torch.Tensor | None  # float32 [heads]


@dataclass(frozen=True)
class DecoderNumbers:
    """The same for all layers, and those of each."""

    layers: tuple[LayerNumbers, ...]
    norm: Norm
    rounds_first: bool
    activation: Activation
    embedding_scale: float
    residual_scale: float
    logits_scale: float  # logits are divided by it
    logits_softcap: float  # 0: none
    head_dim: int


class NormReader:
    """Reads norms, all of which must follow one rule."""

    def __init__(self) -> None:
        self.rule: NormRule | None = None

    def __call__(self, module: Any) -> Norm:
        """The module's numbers. Raises UnusualStructure for one that follows no rule, or another than those before."""
        if self.rule is None:
            self.rule = find_norm_rule(module)
        if self.rule is None or type(module).__name__ == "LayerNorm":
            raise UnusualStructure(f"{type(module).__name__} is no root-mean-square norm known here")
        eps = getattr(module, "variance_epsilon", getattr(module, "eps", self.rule.eps))
        return Norm(self.rule.weight(module), float(eps))

    def maybe(self, module: Any) -> Norm | None:
        return None if module is None else self(module)


def read_numbers(config: Any, parts: DecoderParts, arguments: tuple[LayerArguments, ...]) -> DecoderNumbers:
    """Everything at once; `config` is the model's text configuration. Computes. Raises UnusualStructure."""
    norm = NormReader()
    layers: list[LayerNumbers] = []
    for layer, said in zip(parts.layers, arguments, strict=True):
        attention = layer.attention
        layers.append(
            LayerNumbers(
                before_attention=norm(layer.before_attention),
                query=norm.maybe(getattr(attention, "q_norm", None)),
                key=norm.maybe(getattr(attention, "k_norm", None)),
                after_attention=norm.maybe(layer.after_attention),
                before_mlp=norm(layer.before_mlp),
                after_mlp=norm.maybe(layer.after_mlp),
                attention=said,
                sinks=None if said.sinks is None else said.sinks.detach().float().contiguous(),
            )
        )
    last, mlp = norm(parts.norm), parts.layers[0].mlp
    assert norm.rule is not None
    head_dim = int(parts.layers[0].attention.head_dim)
    if any(found.query is not None and len(found.query.weight) != head_dim for found in layers):
        raise UnusualStructure("its norms of queries are not over one head")
    return DecoderNumbers(
        layers=tuple(layers),
        norm=last,
        rounds_first=norm.rule.rounds_first,
        activation=_activation(getattr(mlp, "act_fn", None) or mlp.activation_fn),
        embedding_scale=float(getattr(config, "embedding_multiplier", 1.0)),
        residual_scale=float(getattr(config, "residual_multiplier", 1.0)),
        logits_scale=float(getattr(config, "logits_scaling", 1.0)),
        logits_softcap=float(getattr(config, "final_logit_softcapping", None) or 0.0),
        head_dim=head_dim,
    )


def _activation(function: Any) -> Activation:
    rows = torch.linspace(-6.0, 6.0, 256)
    expected = function(rows)
    for activation, known in _ACTIVATIONS.items():
        if torch.allclose(known(rows), expected, rtol=1e-6, atol=1e-6):
            return activation
    raise UnusualStructure(f"its activation {type(function).__name__} is not known here")
