"""Scores sequences with an encoder that has an attention of its own (DeBERTa, MPNet, XLM).

Padded, by its own forward.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from workers.padded_groups import PaddedInputs, similar_lengths


class PaddedScorer:
    """Takes over a model built with its own attention."""

    def take(self, model: PreTrainedModel) -> None:
        """Use `model` from now on."""
        self._model = model
        self._inputs = PaddedInputs(model)

    @torch.inference_mode()
    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Raw logits float32 [sequences, labels] for packed int64 [tokens] of sequences of these lengths."""
        texts, types = token_ids.split(list(lengths)), token_type_ids.split(list(lengths))
        scores: list[torch.Tensor] = [torch.empty(0)] * len(texts)
        for group in similar_lengths(lengths):
            logits = self._model(**self._inputs.pad([texts[i] for i in group], [types[i] for i in group])).logits
            for i, row in zip(group, logits.float(), strict=True):
                scores[i] = row
        return torch.stack(scores)
