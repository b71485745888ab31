"""The layers of an encoder of BERT's structure over packed sequences. Knows models, not steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from workers.encoder_positions import position_ids
from workers.lean.plain_linear import layer_of
from workers.lean_encoder.attention import PackedAttention
from workers.lean_encoder.products import GELU, gelu_of
from workers.lean_encoder.structure import LayerNames, layer_names
from workers.lean_encoder.sum_norm import SumNorm
from workers.linear.interface import LinearLayer


class LeanEncoder:
    """Runs the base of a model, for which `encoder_obstacle` is empty. Used by one thread."""

    def __init__(self, model: Any, prefix: str, linears: Mapping[tuple[str, ...], LinearLayer]) -> None:
        """`prefix`: the base's name in `model` with a dot at its end; empty: it is the model. `linears`: opened layers
        by the names of their modules; others are the modules' own. All weights are where they are to stay. Computes
        nothing."""
        base = model.get_submodule(prefix.removesuffix("."))
        self._base, self._embeddings = base, base.embeddings
        self._norm = SumNorm(base.embeddings.LayerNorm, base.dtype)
        config = base.config
        head_dim = config.hidden_size // config.num_attention_heads
        attention = PackedAttention(config.num_attention_heads, head_dim, head_dim**-0.5, base.dtype)
        self._layers = [
            _Layer(model, module, names, linears, attention)
            for module, names in zip(base.encoder.layer, layer_names(base, prefix), strict=True)
        ]

    def states(
        self,
        token_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
        lengths: Sequence[int],
        wanted: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `EncoderLayers`; float32."""
        states: torch.Tensor = self._embeddings.word_embeddings(token_ids).float()
        states += self._embeddings.token_type_embeddings(token_type_ids)
        states += self._embeddings.position_embeddings(position_ids(self._base, token_ids, lengths))
        rows = self._norm(states, None)
        for layer in self._layers[:-1]:
            states, rows = layer.run(states, rows, lengths)
        states, _ = self._layers[-1].run(states, rows, lengths, wanted)
        return states


class _Layer:
    """States stay float32 between the products, whose rows are of the computing type."""

    def __init__(
        self,
        model: Any,
        module: Any,
        names: LayerNames,
        linears: Mapping[tuple[str, ...], LinearLayer],
        attention: PackedAttention,
    ) -> None:
        self._attention = attention
        self._approximate = GELU[model.config.hidden_act]
        self._qkv, self._attended, self._up, self._down = (
            layer_of(model, group, linears) for group in (names.qkv, names.attended, names.up, names.down)
        )
        self._norms = (
            SumNorm(module.attention.output.LayerNorm, model.dtype),
            SumNorm(module.output.LayerNorm, model.dtype),
        )

    def run(
        self, states: torch.Tensor, rows: torch.Tensor, lengths: Sequence[int], wanted: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`states` float32 [tokens, width], which are written to, become the next ones: those, and in the computing
        type, as `rows` are. `wanted`: of which tokens; None: of all."""
        attended = self._attention.attend(self._qkv(rows), lengths)
        if wanted is not None:
            states, attended = states[wanted], attended[wanted]
        rows = self._norms[0](states, self._attended(attended))
        return states, self._norms[1](states, self._down(gelu_of(self._up, rows, self._approximate)))
