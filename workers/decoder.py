"""Runs GENERATE steps of one decoder model: columns in, drawn tokens and log-probabilities out.

Usable without any process: give it a card, the weights and KV segments' memory, and columns on any block of bytes.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from ipc.errors import ProtocolError
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, StepColumns, StepHeader, StepKind, StepShape, step_bytes, write_header
from workers.attention_arguments import layer_arguments
from workers.batch import MAX_SINGLE_TOKENS, GenerateBatch, generate_batch
from workers.batch_invariant import BASE_HEIGHT, SelfAttention, agreeing_heights, check_supported, fill_up, split_step
from workers.copy_pages import page_copies
from workers.decode_graphs import DecodeGraphs, graphs_for
from workers.draw_rows import draw_rows
from workers.grammar_masks import GrammarMasks, get_masks
from workers.grammar_tokenizer import grammar_tokenizer
from workers.greedy_on_device import draw_greedy, is_all_greedy
from workers.linear.open_layers import OpenLayers, open_layers
from workers.model import NO_LAYERS, build_on_meta, hang_weights, register_attention
from workers.paged_attention.choose import make_backend
from workers.paged_attention.interface import AttentionBackend, AttentionPlan, LayerArguments, LayerPages
from workers.pool import map_kv_pages, map_weights, one_page
from workers.prompt_logprobs import MOST_AT_ONCE, body_once, told_tokens, write_prompt_logprobs
from workers.rows import check_generate_rows, resolved_tokens
from workers.rules_of_rows import ReadRules, RulesOfRows
from workers.to_device import batch_on, finished_on
from workers.weights_manifest import TensorEntry

if TYPE_CHECKING:
    from workers.lean.lean_decoder import LeanDecoder


class Decoder:
    """One model, mapped and ready. Used by one thread; holds nothing that must survive."""

    def __init__(
        self, card: ModelCard, weights: memoryview | None, max_num_seqs: int, batch_invariant: bool = False
    ) -> None:
        """Map the weights; nothing is copied. The memory must stay mapped as long as the decoder is used.

        None: they lie on a device and come with `use_weights`.

        Nothing is computed either, so no thread is started: what forks may open a decoder before.
        """
        self._card = card
        self._last_token = np.zeros(max_num_seqs, np.int32)
        self._pools: dict[int, list[LayerPages]] = {}
        self._pages: list[LayerPages] = []  # of the step that runs
        self._backend: AttentionBackend = make_backend(card.attention_backend, batch_invariant)
        # The only numbers of tokens the model ever sees; empty: any number.
        self._heights: tuple[int, ...] = (BASE_HEIGHT,) if batch_invariant else ()
        is_one_by_one = batch_invariant and card.attention_backend == "paged"
        self._max_single_tokens = card.max_model_len if is_one_by_one else MAX_SINGLE_TOKENS
        self._arguments: dict[int, LayerArguments] = {}  # what each layer said at its first call; it never changes
        self._plan: AttentionPlan | None = None  # of the step that runs
        self._rules = RulesOfRows(card.vocab_size)
        self._grammars = GrammarMasks(grammar_tokenizer(card), card.vocab_size, card.eos_token_ids, max_num_seqs)
        name = f"zerolane_{card.index}"
        register_attention(name, self._attend)
        self._model = build_on_meta(card, name)
        if batch_invariant:
            check_supported(card, self._model.config.get_text_config())
        self._lean: LeanDecoder | None = None  # runs the layers in place of the model's modules
        self._graphs: DecodeGraphs | None = None  # of decode steps, on a GPU
        self._device = torch.device("cpu")
        if weights is not None:
            self.use_weights(map_weights(weights), open_layers(weights))

    def use_weights(self, tensors: list[tuple[TensorEntry, torch.Tensor]], layers: OpenLayers = NO_LAYERS) -> None:
        """Compute with these from now on, on the device where they lie; once."""
        hang_weights(self._model, tensors, layers)
        self._device = tensors[0][1].device
        if self._card.layers == "lean" and not self._heights:
            from workers.lean.lean_decoder import LeanDecoder  # numba: not every machine has it

            self._lean = LeanDecoder(self._model, layers)

        if not self._heights:
            self._graphs = graphs_for(self._card, self._device, self._on_device)

    def use_pool(self, pool: int, kv: memoryview) -> None:
        """See `ServedModel.use_pool`."""
        self._pools[pool] = map_kv_pages(kv, self._card)

    def use_pages(self, pool: int, layers: list[LayerPages]) -> None:
        """`use_pool` for pages that lie on the device of the weights."""
        self._pools[pool] = layers

    def drop_pool(self, pool: int) -> None:
        """See `ServedModel.drop_pool`."""
        self._pools.pop(pool, None)
        if self._graphs is not None:
            self._graphs.forget()

    def use_rules(self, read: ReadRules) -> None:
        """See `ServedModel.use_rules`."""
        self._rules.use(read)

    @property
    def batch_heights(self) -> tuple[int, ...]:
        """See `ServedModel`."""
        return self._heights

    def warm_up(self, batch_heights: tuple[int, ...] = ()) -> None:
        """Compute one token, so that the first step of a stream finds everything compiled and faulted in.

        It writes to a page of its own: the pools' pages may all hold streams of other workers. With batch invariance
        it finds out first how; raises StartupError if there is no way.
        """
        if self._heights and batch_heights:
            self._heights = batch_heights
        elif self._heights:
            card = self._card
            self._heights = agreeing_heights(card.name, self._forward_apart, card.vocab_size, card.max_model_len)
        shape = StepShape(StepKind.GENERATE, num_rows=1, num_tokens=1, table_width=1)
        columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, self._card.index, 0, shape))
        columns.num_new[:] = 1
        columns.flags[:] = RowFlag.SAMPLE
        columns.num_logprobs[:] = -1
        self._compute(columns, one_page(self._card, self._device))
        if self._graphs is not None:
            self._graphs.forget()  # that page's

    @torch.inference_mode()
    def run(self, columns: StepColumns) -> None:
        """Compute one step and write its result columns. Raises ProtocolError for a plan that cannot be."""
        with finished_on(self._device):
            if columns.header.shape.kind is StepKind.COPY:
                self._copy_pages(columns)
            else:
                self._generate(columns)

    def _copy_pages(self, columns: StepColumns) -> None:
        source, target = map(torch.from_numpy, page_copies(columns, self._card.num_pages))
        from_layers, to_layers = self._pages_of(columns.header.source_pool), self._pages_of(columns.header.pool)
        for from_pages, to_pages in zip(from_layers, to_layers, strict=True):
            to_pages.keys[target] = from_pages.keys[source]
            to_pages.values[target] = from_pages.values[source]
        columns.row_status[:] = 0

    def _generate(self, columns: StepColumns) -> None:
        check_generate_rows(columns, self._card)
        pages = self._pages_of(columns.header.pool)
        ruled = self._rules.of(columns, resolved_tokens(columns, self._last_token))
        masks = self._grammars.begin(ruled, max(1, torch.get_num_threads() // 2))
        try:
            compute = self._compute_in_parts if self._heights else self._compute
            rows, logits = compute(columns, pages)
            is_greedy = not ruled and is_all_greedy(columns, rows)
            logits = logits if is_greedy else logits.cpu()  # on the host: the same draws on every device
        finally:
            found = get_masks(masks)  # before anything else: matchers may not be asked twice at once
        if is_greedy:
            draw_greedy(columns, rows, logits)
        else:
            draw_rows(columns, rows, logits, ruled, found)
        self._last_token[columns.slot[rows]] = np.maximum(columns.sampled[rows], 0)

    def _compute(self, columns: StepColumns, pages: list[LayerPages]) -> tuple[npt.NDArray[np.int64], torch.Tensor]:
        """Rows to sample [n], ascending, and their logits [n, vocab]. Log-probabilities of prompts are written."""
        batch = generate_batch(columns, self._card, self._last_token, self._max_single_tokens)
        if not columns.header.shape.has_prompt_logprobs:
            recorded = None if self._graphs is None else self._graphs.logits(batch, pages)
            return batch.sample_rows, self._logits(batch, pages) if recorded is None else recorded
        with body_once(self._model) if self._lean is None else self._lean.states_once():
            logits = self._logits(batch, pages)
            for told in told_tokens(columns, self._heights[-1] if self._heights else MOST_AT_ONCE):
                asked = replace(batch, sample_tokens=torch.from_numpy(told.tokens))
                write_prompt_logprobs(columns, told, self._logits(asked, pages))
        return batch.sample_rows, logits

    def _compute_in_parts(
        self, columns: StepColumns, pages: list[LayerPages]
    ) -> tuple[npt.NDArray[np.int64], torch.Tensor]:
        """`_compute`, by steps the model may see."""
        parts = [self._compute(part, pages) for part in split_step(columns, self._heights[-1])]
        return np.concatenate([rows for rows, _ in parts]), torch.cat([logits for _, logits in parts])

    def _logits(self, batch: GenerateBatch, pages: list[LayerPages]) -> torch.Tensor:
        """`_forward` of a batch the model may see, without what it was filled up with."""
        filled = fill_up(batch, self._heights) if self._heights else batch
        return self._forward(filled, pages)[: len(batch.sample_tokens)]

    @torch.inference_mode()
    def _forward_apart(self, token_ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits [n, vocab] of n tokens, each a sequence of its own at its position, in one call of the model."""
        nothing, every = torch.zeros(0, dtype=torch.int64), torch.arange(len(token_ids))
        plan = AttentionPlan(self._card.block_size, every, every, nothing, nothing, nothing, (), singles_are_all=False)
        backend, self._backend = self._backend, SelfAttention()
        try:
            batch = GenerateBatch(token_ids[None], positions[None], plan, np.arange(len(token_ids)), every)
            return self._forward(batch, one_page(self._card))
        finally:
            self._backend = backend

    @torch.inference_mode()
    def _forward(self, batch: GenerateBatch, pages: list[LayerPages]) -> torch.Tensor:
        """Logits [tokens to sample, vocab]; keys and values of all tokens are in their pages afterwards."""
        if self._device.type != "cpu":
            batch = batch_on(batch, self._device)
        return self._on_device(batch, pages)

    def _on_device(self, batch: GenerateBatch, pages: list[LayerPages]) -> torch.Tensor:
        """`_forward` of a batch that lies where the model does."""
        if self._lean is not None:
            tokens, positions = batch.token_ids[0], batch.position_ids[0]
            return self._lean.step(tokens, positions, pages, batch.attention, batch.sample_tokens)
        self._plan, self._pages = batch.attention, pages
        try:
            output: Any = self._model(
                input_ids=batch.token_ids,
                position_ids=batch.position_ids,
                use_cache=False,
                logits_to_keep=batch.sample_tokens,
            )
        finally:
            self._plan, self._pages = None, []
        logits: torch.Tensor = output.logits[0]
        return logits

    def _pages_of(self, pool: int) -> list[LayerPages]:
        if pool not in self._pools:
            raise ProtocolError(f"there is no pool {pool} on this worker")
        return self._pools[pool]

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
        count = len(self._plan.token_page)
        attended = self._backend.attend(
            self._pages[layer],
            query[0, :, :count].transpose(0, 1),
            key[0, :, :count].transpose(0, 1),
            value[0, :, :count].transpose(0, 1),
            self._arguments[layer],
            self._plan,
        )
        if count < query.shape[2]:  # tokens that belong to nobody follow
            attended = F.pad(attended, (0, 0, 0, 0, 0, query.shape[2] - count))
        return attended[None], None
