"""Embeds sequences with a model that has an attention of its own (MPNet, DeBERTa): padded, by its own forward."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from workers.model import dense_tail
from workers.padded_groups import PaddedInputs, similar_lengths
from workers.pooling import pool


class PaddedEmbedder:
    """Takes over a model built with its own attention. `width`: columns of the result; longer vectors are cut."""

    def __init__(self, pooling: Sequence[str], width: int) -> None:
        self._pooling = tuple(pooling)
        self._width = width

    def take(self, model: PreTrainedModel) -> None:
        """Use `model` from now on."""
        self._model = model
        self._inputs = PaddedInputs(model)
        self._tail = dense_tail(model)

    @torch.inference_mode()
    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Vectors float32 [sequences, width], not normalised, for packed int64 [tokens] of these lengths."""
        texts, types = token_ids.split(list(lengths)), token_type_ids.split(list(lengths))
        vectors: list[torch.Tensor] = [torch.empty(0)] * len(texts)
        for group in similar_lengths(lengths):
            inputs = self._inputs.pad([texts[i] for i in group], [types[i] for i in group])
            states = self._model(**inputs).last_hidden_state
            for i, row in zip(group, states, strict=True):
                own = row[: lengths[i]]
                vectors[i] = self._tail(pool(own, [len(own)], self._pooling))[0]
        return torch.stack(vectors)[:, : self._width]
