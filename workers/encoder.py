"""Runs SCORE steps of one sequence-classification model: columns in, raw logits out. Usable without any process."""

from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from ipc.model_card import ModelCard
from ipc.step_layout import StepColumns
from workers.model import build_on_meta, hang_weights, register_attention
from workers.packed_scorer import PackedScorer
from workers.padded_scorer import PaddedScorer
from workers.pool import map_weights
from workers.rows import check_rows

PACKED, PADDED = "packed", "padded"  # ModelCard.attention_backend of a score model


class Scorer(Protocol):
    """Packed token ids in, logits out."""

    def take(self, model: PreTrainedModel) -> None:
        """Use `model` from now on."""
        ...

    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """Raw logits float32 [sequences, labels]."""
        ...


class Encoder:
    """One model, mapped and ready. Used by one thread; holds nothing that must survive."""

    def __init__(self, card: ModelCard, weights: memoryview) -> None:
        """Map the weights; nothing is copied. The memory must stay mapped as long as the encoder is used."""
        self._card = card
        name = f"zerolane_{card.index}"
        self._scorer: Scorer
        if card.attention_backend == PACKED:
            packed = PackedScorer()
            register_attention(name, packed.attend)
            self._scorer = packed
        else:
            self._scorer = PaddedScorer()
        model = build_on_meta(card, name if card.attention_backend == PACKED else None)
        hang_weights(model, map_weights(weights))
        self._scorer.take(model)

    def warm_up(self) -> None:
        """Score two short sequences."""
        ids = torch.zeros(3, dtype=torch.int64)
        self._scorer.score(ids, ids, [1, 2])

    def run(self, columns: StepColumns) -> None:
        """Compute one step and write its result columns. Raises ProtocolError for a plan that cannot be."""
        check_rows(columns, self._card.vocab_size, self._card.max_model_len)
        scores = self._scorer.score(
            torch.from_numpy(columns.token_ids.astype(np.int64)),
            torch.from_numpy(columns.token_type_ids.astype(np.int64)),
            columns.num_new.tolist(),
        ).numpy()
        columns.scores[:] = scores
        columns.row_status[:] = ~np.isfinite(scores).all(axis=1)
