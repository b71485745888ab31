"""Whether a decoder's layers are run by ours, and why. The loader decides once; workers follow the model card."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from ipc.model_card import ModelCard
from workers.lean.plain_linear import layer_of
from workers.linear.interface import LinearLayer
from workers.model import register_attention
from workers.model_probe import NUM_TOKENS, PROBE, DecoderFacts, Recording, probe_tokens
from workers.paged_attention.interface import AttentionPlan, LayerPages, PrefillRow

if TYPE_CHECKING:
    from workers.lean.lean_decoder import LeanDecoder

LEAN, MODULES = "lean", "modules"
# Largest allowed difference of all logits, in units of their length: sums in another order, rounded often.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}
_CHUNKS = (slice(0, 5), slice(5, 9), slice(9, 10), slice(10, 11), slice(11, NUM_TOKENS))
_PAGE = 4  # tokens of a page of the probe: chunks begin and end within one


@dataclass(frozen=True)
class LayersChoice:
    name: str
    reason: str


def choose_layers(card: ModelCard, model: PreTrainedModel, facts: DecoderFacts, batch_invariant: bool) -> LayersChoice:
    """The choice for a loaded decoder whose attention back end is chosen. Computes a few tokens."""
    obstacle = _obstacle_of_card(card, batch_invariant) or _obstacle_of_model(model, facts)
    if obstacle:
        return LayersChoice(MODULES, obstacle)
    return LayersChoice(LEAN, "its structure is the usual one, and our layers give what its modules give")


def _obstacle_of_card(card: ModelCard, batch_invariant: bool) -> str:
    if card.device != "cpu":
        return "our layers are for CPUs"
    if batch_invariant:
        return "--batch-invariant is proven for transformers' modules"
    if card.attention_backend != "paged":
        return f"its attention back end is {card.attention_backend}"
    return ""


@torch.inference_mode()
def _obstacle_of_model(model: PreTrainedModel, facts: DecoderFacts) -> str:
    from workers.lean.lean_decoder import LeanDecoder  # numba: not every machine has it
    from workers.lean.structure import UnusualStructure, attention_arguments, read_structure

    try:
        for part, told in zip(read_structure(model).layers, facts.arguments, strict=True):
            said = attention_arguments(part.attention)
            if replace(said, sinks=None) != replace(told, sinks=None) or (said.sinks is None) != (told.sinks is None):
                return f"{part.name} tells its attention something else than it seems to"
        products = {tuple(layer.qkv): _Kept(layer_of(model, layer.qkv, {})) for layer in read_structure(model).layers}
        lean = LeanDecoder(model, products)
        # What changes with positions shows at the last ones. Those come first: some modules remember what came last.
        last = model.config.get_text_config().max_position_embeddings - NUM_TOKENS
        for first in (max(0, last), 0):
            heard = _Listening()
            theirs, ours = _logits_of_modules(model, heard, first), _logits_of_lean(lean, model, facts, first)
            for layer, (turned, kept) in enumerate(zip(heard.turned, products.values(), strict=True)):
                if not (difference := _difference(kept.take(turned.shape[1]), turned)) <= TOLERANCE[model.dtype]:
                    return f"layer {layer} has queries and keys that are off by {difference:.2g} of their length"
            if not (difference := _difference(ours, theirs)) <= TOLERANCE[model.dtype]:
                return f"our layers give logits that are off by {difference:.2g} of their length"
    except UnusualStructure as error:
        return str(error)
    return ""


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


@dataclass
class _Listening(Recording):
    """Keeps what each layer's attention is given, too: [tokens, queries and keys], normed and rotated."""

    turned: list[torch.Tensor] = field(default_factory=list)

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """See `Recording`."""
        self.turned.append(torch.cat([query[0], key[0]]).transpose(0, 1).flatten(1))
        return super().attend(module, query, key, value, attention_mask, **kwargs)


class _Kept:
    """A `LinearLayer` that keeps its results: our attention norms and rotates queries and keys where they lie."""

    def __init__(self, layer: LinearLayer) -> None:
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self._layer = layer
        self._results: list[torch.Tensor] = []

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `LinearLayer`."""
        self._results.append(self._layer(rows))
        return self._results[-1]

    def take(self, width: int) -> torch.Tensor:
        """The first `width` columns of all rows since the last call."""
        results, self._results = self._results, []
        return torch.cat(results)[:, :width]


def _logits_of_modules(model: PreTrainedModel, heard: _Listening, first: int) -> torch.Tensor:
    """float32 [NUM_TOKENS, vocab] for the probe's tokens at positions from `first`."""
    register_attention(PROBE, heard.attend)
    model.set_attn_implementation(PROBE)
    positions = torch.arange(first, first + NUM_TOKENS)[None]
    output = model(input_ids=probe_tokens(model), position_ids=positions, use_cache=False)
    logits: torch.Tensor = output.logits[0].float()
    return logits


def _logits_of_lean(lean: "LeanDecoder", model: PreTrainedModel, facts: DecoderFacts, first: int) -> torch.Tensor:
    """The same by our layers, in chunks and single tokens over scattered pages.

    Pages hold the probe's tokens only: their order counts from 0, whatever their positions.
    """
    num_pages = -(-NUM_TOKENS // _PAGE)
    pages = [
        LayerPages(
            torch.zeros(num_pages, layer.num_kv_heads, _PAGE, layer.key_dim, dtype=model.dtype),
            torch.zeros(num_pages, layer.num_kv_heads, _PAGE, layer.value_dim, dtype=model.dtype),
        )
        for layer in facts.kv_layers
    ]
    ids, logits = probe_tokens(model)[0], []
    table = torch.arange(num_pages).flip(0)
    for chunk in _CHUNKS:
        places = torch.arange(chunk.start, chunk.stop)
        found = lean.step(ids[chunk], places + first, pages, _plan(table, places), torch.arange(len(places)))
        logits.append(found.float().clone())
    return torch.cat(logits)


def _plan(table: torch.Tensor, places: torch.Tensor) -> AttentionPlan:
    """One row's next tokens, at the given places of its sequence."""
    is_single, start, count = len(places) == 1, int(places[0]), len(places)
    nothing = torch.zeros(0, dtype=torch.int64)
    used = table[: -(-(start + count) // _PAGE)]
    return AttentionPlan(
        block_size=_PAGE,
        token_page=table[places // _PAGE],
        token_offset=places % _PAGE,
        single_tokens=torch.arange(1) if is_single else nothing,
        single_lengths=(places + 1).int() if is_single else nothing.int(),
        single_tables=used[None].int() if is_single else torch.zeros(0, 1, dtype=torch.int32),
        prefill_rows=() if is_single else (PrefillRow(0, count, start, used),),
        singles_are_all=is_single,
    )
