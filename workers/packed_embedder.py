"""Embeds packed sequences with a base model of transformers, without padding. Knows models, not steps."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from workers.model import dense_tail
from workers.packed_encoder import EncoderLayers, PackedEncoder
from workers.pooling import pool


class PackedEmbedder:
    """Takes over a model built with an attention whose function is `encoder.attend` of this object.

    `width`: columns of the result; longer vectors are cut.
    """

    def __init__(self, pooling: Sequence[str], width: int) -> None:
        self.encoder = PackedEncoder()
        self._layers: EncoderLayers = self.encoder
        self._pooling = tuple(pooling)
        self._width = width

    def take(self, model: PreTrainedModel) -> None:
        """Use `model` from now on."""
        self.encoder.take(model)
        self._tail = dense_tail(model)

    def use_layers(self, layers: EncoderLayers) -> None:
        """Let `layers` compute the states. After `take`."""
        self._layers = layers

    @torch.inference_mode()
    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Vectors float32 [sequences, width], not normalised, for packed int64 [tokens] of these lengths."""
        states = self._layers.states(token_ids, token_type_ids, lengths)
        vectors: torch.Tensor = self._tail(pool(states, lengths, self._pooling))
        return vectors[:, : self._width]
