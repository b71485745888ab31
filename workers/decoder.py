"""Runs GENERATE steps of one decoder model: columns in, drawn tokens out.

Usable without any process: give it a card, the weights and KV segments' memory, and columns on any block of bytes.
"""

from typing import Any

import numpy as np
import torch

from ipc.errors import ProtocolError
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns, StepHeader, StepKind, StepShape, step_bytes, write_header
from workers.attention_arguments import layer_arguments
from workers.batch import GenerateBatch, generate_batch
from workers.model import build_on_meta, hang_weights, register_attention
from workers.paged_attention.choose import make_backend
from workers.paged_attention.interface import AttentionPlan, LayerArguments, LayerPages
from workers.pool import map_kv_pages, map_weights
from workers.sampler import SamplingColumns, sample


class Decoder:
    """One model, mapped and ready. Used by one thread; holds nothing that must survive."""

    def __init__(
        self, card: ModelCard, weights: memoryview, kv: memoryview | None, max_num_seqs: int, threads: int = 1
    ) -> None:
        """Map everything; nothing is copied. The memory must stay mapped as long as the decoder is used."""
        self._card = card
        self._last_token = np.zeros(max_num_seqs, np.int32)
        self._pages = map_kv_pages(kv, card)
        self._backend = make_backend(card.attention_backend, threads)
        self._arguments: dict[int, LayerArguments] = {}  # what each layer said at its first call; it never changes
        self._plan: AttentionPlan | None = None  # of the step that runs
        name = f"zerolane_{card.index}"
        register_attention(name, self._attend)
        self._model = build_on_meta(card, name)
        hang_weights(self._model, map_weights(weights))

    def warm_up(self) -> None:
        """Compute one token, so that the first step of a stream finds everything compiled and faulted in.

        It writes to a page of its own: the pool's pages may all hold streams of other workers.
        """
        shape = StepShape(StepKind.GENERATE, num_rows=1, num_tokens=1, table_width=1)
        columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, self._card.index, 0, shape))
        columns.num_new[:] = 1
        columns.flags[:] = RowFlag.SAMPLE
        pool, self._pages = (
            self._pages,
            [LayerPages(torch.zeros_like(pages.keys[:1]), torch.zeros_like(pages.values[:1])) for pages in self._pages],
        )
        try:
            self._forward(generate_batch(columns, self._card, self._last_token))
        finally:
            self._pages = pool

    @torch.inference_mode()
    def run(self, columns: StepColumns) -> None:
        """Compute one step and write its result columns. Raises ProtocolError for a plan that cannot be."""
        batch = generate_batch(columns, self._card, self._last_token)
        logits = self._forward(batch)
        rows = batch.sample_rows
        columns.sampled[:] = -1
        columns.row_status[:] = 0
        if len(rows) == 0:
            return
        drawn = sample(
            logits,
            SamplingColumns(
                columns.temperature[rows],
                columns.top_k[rows],
                columns.top_p[rows],
                columns.min_p[rows],
                columns.seed[rows],
                (columns.start[rows] + columns.num_new[rows]).astype(np.int64),
            ),
        )
        columns.sampled[rows] = drawn
        columns.row_status[rows] = drawn < 0
        self._last_token[columns.slot[rows]] = np.maximum(drawn, 0)

    @torch.inference_mode()
    def _forward(self, batch: GenerateBatch) -> torch.Tensor:
        """Logits [rows to sample, vocab]; keys and values of all tokens are in their pages afterwards."""
        self._plan = batch.attention
        try:
            output: Any = self._model(
                input_ids=batch.token_ids,
                position_ids=batch.position_ids,
                use_cache=False,
                logits_to_keep=batch.sample_tokens,
            )
        finally:
            self._plan = None
        logits: torch.Tensor = output.logits[0]
        return logits

    def _attend(
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
        if self._plan is None:
            raise ProtocolError("attention was called outside a step")
        layer: int = module.layer_idx
        if layer not in self._arguments:
            self._arguments[layer] = layer_arguments(module, query.shape[-1], kwargs)
        attended = self._backend.attend(
            self._pages[layer],
            query[0].transpose(0, 1),
            key[0].transpose(0, 1),
            value[0].transpose(0, 1),
            self._arguments[layer],
            self._plan,
        )
        return attended[None], None
