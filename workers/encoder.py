"""Runs SCORE steps of one model that scores or embeds: columns in, raw logits or vectors out. Usable without any
process.
"""

from typing import Protocol

import numpy as np
import torch
from transformers import PreTrainedModel

from ipc.model_card import ModelCard
from ipc.step_layout import StepColumns
from workers.batch_invariant import check_supported
from workers.lean_encoder.choose import LEAN, base_prefix
from workers.linear.open_layers import OpenLayers, open_layers
from workers.model import NO_LAYERS, build_on_meta, hang_weights, register_attention
from workers.packed_embedder import PackedEmbedder
from workers.packed_scorer import PackedScorer
from workers.padded_embedder import PaddedEmbedder
from workers.padded_scorer import PaddedScorer
from workers.paged_attention.interface import LayerPages
from workers.pool import map_weights
from workers.rows import check_rows
from workers.rules_of_rows import ReadRules
from workers.to_device import finished_on
from workers.weights_manifest import TensorEntry

PACKED, PADDED = "packed", "padded"  # ModelCard.attention_backend of a score or embed model


class Scorer(Protocol):
    """Packed token ids in, logits or vectors out."""

    def take(self, model: PreTrainedModel) -> None:
        """Use `model` from now on."""
        ...

    def score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """float32 [sequences, card.num_labels]: raw logits, or vectors that are not normalised."""
        ...


def packed_scorer(card: ModelCard) -> PackedScorer | PackedEmbedder:
    """What computes the model's sequences without padding. Register its `encoder.attend`, then `take` the model."""
    if card.embedding is None:
        return PackedScorer()
    return PackedEmbedder(card.embedding.pooling.split("+"), card.num_labels)


def padded_scorer(card: ModelCard) -> PaddedScorer | PaddedEmbedder:
    """What computes the model's sequences with its own attention."""
    if card.embedding is None:
        return PaddedScorer()
    return PaddedEmbedder(card.embedding.pooling.split("+"), card.num_labels)


class Encoder:
    """One model, mapped and ready. Used by one thread; holds nothing that must survive."""

    batch_heights: tuple[int, ...] = ()  # with batch invariance each pair is computed alone

    def __init__(self, card: ModelCard, weights: memoryview | None, batch_invariant: bool = False) -> None:
        """Map the weights; nothing is copied. The memory must stay mapped as long as the encoder is used.

        None: they lie on a device and come with `use_weights`.

        With `batch_invariant` every sequence is computed alone, so that its scores depend on nothing else.
        """
        self._card = card
        self._batch_invariant = batch_invariant
        name = f"zerolane_{card.index}"
        self._packed = packed_scorer(card) if card.attention_backend == PACKED else None
        if self._packed is not None:
            register_attention(name, self._packed.encoder.attend)
        self._scorer: Scorer = padded_scorer(card) if self._packed is None else self._packed
        model = build_on_meta(card, name if card.attention_backend == PACKED else None)
        if batch_invariant:
            check_supported(card, model.config)
        self._model = model
        self._device = torch.device("cpu")
        if weights is not None:
            self.use_weights(map_weights(weights), open_layers(weights))

    def use_weights(self, tensors: list[tuple[TensorEntry, torch.Tensor]], layers: OpenLayers = NO_LAYERS) -> None:
        """Compute with these from now on, on the device where they lie; once."""
        hang_weights(self._model, tensors, layers)
        self._device = tensors[0][1].device
        self._scorer.take(self._model)
        if self._packed is not None and self._card.layers == LEAN:
            from workers.lean_encoder.layers import LeanEncoder  # numba: half a second to import

            self._packed.use_layers(LeanEncoder(self._model, base_prefix(self._model), layers))

    def use_pool(self, pool: int, kv: memoryview) -> None:
        """Nothing: scores need no KV pages."""

    def use_pages(self, pool: int, layers: list[LayerPages]) -> None:
        """Nothing."""

    def use_rules(self, read: ReadRules) -> None:
        """See `ServedModel.use_rules`: there are no streams."""

    def drop_pool(self, pool: int) -> None:
        """Nothing."""

    def warm_up(self, batch_heights: tuple[int, ...] = ()) -> None:
        """Score two short sequences."""
        ids = torch.zeros(3, dtype=torch.int64)
        self._score(ids, ids, [1, 2])

    def run(self, columns: StepColumns) -> None:
        """Compute one step and write its result columns. Raises ProtocolError for a plan that cannot be."""
        check_rows(columns, self._card.vocab_size, self._card.max_model_len)
        token_ids = torch.from_numpy(columns.token_ids.astype(np.int64))
        token_type_ids = torch.from_numpy(columns.token_type_ids.astype(np.int64))
        lengths: list[int] = columns.num_new.tolist()
        if self._batch_invariant:
            texts = zip(token_ids.split(lengths), token_type_ids.split(lengths), lengths, strict=True)
            scores = torch.cat([self._score(ids, types, [length]) for ids, types, length in texts]).numpy()
        else:
            scores = self._score(token_ids, token_type_ids, lengths).numpy()
        columns.scores[:] = scores
        columns.row_status[:] = ~np.isfinite(scores).all(axis=1)

    def _score(self, token_ids: torch.Tensor, token_type_ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        """`Scorer.score` where the weights lie, from and to the host's memory."""
        if self._device.type == "cpu":
            return self._scorer.score(token_ids, token_type_ids, lengths)
        with finished_on(self._device), self._device:  # positions, masks and indexes are made there, too
            return self._scorer.score(token_ids.to(self._device), token_type_ids.to(self._device), lengths).cpu()
