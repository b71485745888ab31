"""Scores packed sequences with a ...ForSequenceClassification model of transformers.

The base encoder runs once over all sequences in one row, without padding. Then the architecture's own head runs on
what it would have looked at: its base is replaced by a stand-in that returns each sequence's pooled state as a
sequence of one token. This module knows models, not steps; the loader uses it to probe, the encoder to serve.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ipc.errors import ProtocolError, StartupError
from workers.attention_arguments import is_causal, layer_arguments
from workers.encoder_attention import EqualSequences, attend_packed, group_by_length
from workers.encoder_positions import position_ids


class _PooledStates(nn.Module):
    """Stands where the base encoder was, and returns what the head is to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.output: BaseModelOutputWithPooling | None = None

    def forward(self, *_args: Any, **_kwargs: Any) -> Any:
        """The output set before the call."""
        return self.output


class PackedScorer:
    """Takes over a model built with an attention whose function is `attend` of this object."""

    def __init__(self) -> None:
        self._groups: list[EqualSequences] | None = None  # of the call that runs

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
        self._base_takes = set(inspect.signature(self._base.forward).parameters)
        self._is_decoder = isinstance(getattr(model, "score", None), nn.Linear)  # decoders' own way to classify
        self._pools_mean = getattr(model.config, "classifier_pooling", "") == "mean"

    @torch.inference_mode()
    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Raw logits float32 [sequences, labels] for packed int64 [tokens] of sequences of these lengths."""
        inputs: dict[str, torch.Tensor] = {
            "input_ids": token_ids[None],
            "position_ids": position_ids(self._base, token_ids, lengths)[None],
        }
        if "token_type_ids" in self._base_takes:
            inputs["token_type_ids"] = token_type_ids[None]
        if "use_cache" in self._base_takes:
            inputs["use_cache"] = False  # type: ignore[assignment]  # a flag among tensors
        self._groups = group_by_length(lengths)
        try:
            states: torch.Tensor = self._base(**inputs).last_hidden_state[0]
        finally:
            self._groups = None
        return self._head(self._pool(states, lengths)).float()

    def _pool(self, states: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """[sequences, width]: the state the head looks at, of each sequence."""
        ends = torch.tensor(lengths).cumsum(0)
        if self._is_decoder:
            return states[ends - 1]
        if self._pools_mean:
            return torch.stack([part.mean(dim=0) for part in states.split(list(lengths))])
        return states[ends - torch.tensor(lengths)]

    def _head(self, pooled: torch.Tensor) -> torch.Tensor:
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

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """What transformers calls in every layer.

        Query, key, value [1, heads, tokens, dim]; gives [1, tokens, heads, dim].
        """
        if self._groups is None:
            raise ProtocolError("attention was called outside a step")
        attended = attend_packed(
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            layer_arguments(module, query.shape[-1], kwargs),
            is_causal(module, kwargs),
            self._groups,
        )
        return attended[None], None
