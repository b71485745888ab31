"""Packed sequences as the padded batches that models with an attention of their own take."""

import inspect
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

MAX_PADDED_TOKENS = 4096  # of one call: bounds the memory of attention weights


class PaddedInputs:
    """Pads for one model, with its padding token, on the right."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._takes_types = "token_type_ids" in inspect.signature(model.forward).parameters
        self._padding: int = model.config.pad_token_id or 0

    def pad(self, texts: Sequence[torch.Tensor], types: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The model's arguments, each [texts, longest], for int64 [tokens] of each text."""
        pad = torch.nn.utils.rnn.pad_sequence
        inputs = {
            "input_ids": pad(list(texts), batch_first=True, padding_value=self._padding),
            "attention_mask": pad([torch.ones_like(text) for text in texts], batch_first=True),
        }
        if self._takes_types:
            inputs["token_type_ids"] = pad(list(types), batch_first=True)
        return inputs


def similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Indexes of the sequences in groups that hold at most MAX_PADDED_TOKENS when padded, or one sequence."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups and lengths[index] * (len(groups[-1]) + 1) <= MAX_PADDED_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
