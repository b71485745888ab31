"""Scores packed sequences with a ...ForSequenceClassification model of transformers.

The base encoder runs once over all sequences in one row, without padding. Then the architecture's own head runs on
what it would have looked at: its base is replaced by a stand-in that returns each sequence's pooled state as a
sequence of one token. This module knows models, not steps; the loader uses it to probe, the encoder to serve.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ipc.errors import StartupError
from workers.packed_encoder import EncoderLayers, PackedEncoder


class _PooledStates(nn.Module):
    """Stands where the base encoder was, and returns what the head is to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.output: BaseModelOutputWithPooling | None = None

    def forward(self, *_args: Any, **_kwargs: Any) -> Any:
        """The output set before the call."""
        return self.output


class PackedScorer:
    """Takes over a model built with an attention whose function is `encoder.attend` of this object."""

    def __init__(self) -> None:
        self.encoder = PackedEncoder()
        self._layers: EncoderLayers = self.encoder
        self._widens_head = False

    def take(self, model: PreTrainedModel) -> None:
        """Split base and head. Raises StartupError for a model whose base is not where transformers says."""
        prefix: str = model.base_model_prefix
        if prefix not in model._modules:
            raise StartupError(f"{type(model).__name__} keeps no base model under the name {prefix!r}")
        self._model = model
        base: Any = model._modules[prefix]
        self._base = base
        self._pooled = _PooledStates()
        self._prefix = prefix
        self.encoder.take(base)
        self._is_decoder = isinstance(getattr(model, "score", None), nn.Linear)  # decoders' own way to classify
        self._pools_mean = getattr(model.config, "classifier_pooling", "") == "mean"

    def use_layers(self, layers: EncoderLayers) -> None:
        """Let `layers` compute the states, in float32; the head is computed so, too. After `take`."""
        self._layers, self._widens_head = layers, True

    @torch.inference_mode()
    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Raw logits float32 [sequences, labels] for packed int64 [tokens] of sequences of these lengths."""
        if self._pools_mean:
            states = self._layers.states(token_ids, token_type_ids, lengths)
            return self._head(torch.stack([part.mean(dim=0) for part in states.split(list(lengths))])).float()
        ends = torch.tensor(lengths).cumsum(0)
        looked_at = ends - 1 if self._is_decoder else ends - torch.tensor(lengths)
        return self._head(self._layers.states(token_ids, token_type_ids, lengths, looked_at)).float()

    def _head(self, pooled: torch.Tensor) -> torch.Tensor:
        if self._widens_head:
            self._widen_head()
        if self._is_decoder:
            head: Any = self._model.score
            scored: torch.Tensor = head(pooled)
            return scored
        states = pooled[:, None]
        pooler = getattr(self._base, "pooler", None)
        self._pooled.output = BaseModelOutputWithPooling(
            last_hidden_state=states, pooler_output=None if pooler is None else pooler(states)
        )
        ones = torch.ones(states.shape[:2], dtype=torch.int64)
        self._model._modules[self._prefix] = self._pooled
        try:
            logits: torch.Tensor = self._model(input_ids=ones, attention_mask=ones).logits
        finally:
            self._model._modules[self._prefix] = self._base
        return logits

    def _widen_head(self) -> None:
        """Copies of the head's weights in float32: logits in bfloat16 have steps of a hundredth."""
        self._widens_head = False
        for name, module in [*self._model.named_children(), ("pooler", getattr(self._base, "pooler", None))]:
            if name != self._prefix and module is not None:
                module.float()
