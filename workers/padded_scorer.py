"""Scores sequences with an encoder that has an attention of its own (DeBERTa, MPNet, XLM).

Padded, by its own forward.
"""

import inspect
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

MAX_PADDED_TOKENS = 4096  # of one call: bounds the memory of attention weights


class PaddedScorer:
    """Takes over a model built with its own attention."""

    def take(self, model: PreTrainedModel) -> None:
        """Use `model` from now on."""
        self._model = model
        self._takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
        self._padding: int = model.config.pad_token_id or 0

    @torch.inference_mode()
    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Raw logits float32 [sequences, labels] for packed int64 [tokens] of sequences of these lengths."""
        texts = token_ids.split(list(lengths))
        types = token_type_ids.split(list(lengths))
        scores: list[torch.Tensor] = [torch.empty(0)] * len(texts)
        for group in _similar_lengths(lengths):
            logits = self._score_group([texts[i] for i in group], [types[i] for i in group])
            for i, row in zip(group, logits, strict=True):
                scores[i] = row
        return torch.stack(scores)

    def _score_group(self, texts: list[torch.Tensor], types: list[torch.Tensor]) -> torch.Tensor:
        pad = torch.nn.utils.rnn.pad_sequence
        inputs = {
            "input_ids": pad(texts, batch_first=True, padding_value=self._padding),
            "attention_mask": pad([torch.ones_like(text) for text in texts], batch_first=True),
        }
        if self._takes_types:
            inputs["token_type_ids"] = pad(types, batch_first=True)
        logits: torch.Tensor = self._model(**inputs).logits
        return logits.float()


def _similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Indexes of the sequences in groups that hold at most MAX_PADDED_TOKENS when padded, or one sequence."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups and lengths[index] * (len(groups[-1]) + 1) <= MAX_PADDED_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
