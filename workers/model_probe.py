"""Learns from one small real forward what an architecture asks of attention, and checks that we compute what it
computes.

The loaded model runs a few tokens through a function that records every call and attends in the plain way; then it
runs them through its own attention. A difference means that the architecture does something our function is not
told about: the start stops there instead of answers being wrong.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from ipc.errors import StartupError
from ipc.model_card import KvLayer, ModelCard
from workers.attention_arguments import is_causal, layer_arguments
from workers.encoder import PACKED, Scorer, packed_scorer, padded_scorer
from workers.model import register_attention
from workers.packed_encoder import PackedEncoder
from workers.paged_attention.interface import LayerArguments, visible
from workers.paged_attention.reference import attend_row

PROBE = "zerolane_probe"
NUM_TOKENS = 12
_PARTS = (slice(0, 5), slice(5, NUM_TOKENS))
# Largest allowed difference of logits, in units of their largest magnitude.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}


@dataclass
class Recording:
    """What a decoder's layers asked for, by layer index."""

    kv_layers: dict[int, KvLayer] = field(default_factory=dict)
    arguments: dict[int, LayerArguments] = field(default_factory=dict)

    def attend(
        self,
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """Record one layer's call and attend causally; shapes as transformers passes them."""
        arguments = layer_arguments(module, query.shape[-1], kwargs)
        layer = getattr(module, "layer_idx", None)
        if layer is None or layer in self.kv_layers or not is_causal(module, kwargs):
            raise StartupError(f"{type(module).__name__} does not number its layers, or is not causal")
        self.kv_layers[layer] = KvLayer(key.shape[1], key.shape[3], value.shape[3])
        self.arguments[layer] = arguments
        mask = visible(query.shape[2], 0, arguments.sliding_window)
        return attend_row(query[0].transpose(0, 1), key[0], value[0], mask, arguments)[None], None


@dataclass(frozen=True)
class DecoderFacts:
    kv_layers: tuple[KvLayer, ...]
    arguments: tuple[LayerArguments, ...]  # of each layer

    @property
    def windows(self) -> tuple[int, ...]:
        """Of each layer; 0: sees everything."""
        return tuple(layer.sliding_window for layer in self.arguments)


@torch.inference_mode()
def probe_decoder(name: str, model: PreTrainedModel) -> DecoderFacts:
    """What a decoder's KV cache looks like. Raises StartupError for an architecture we would compute wrongly."""
    recording = Recording()
    register_attention(PROBE, recording.attend)
    ids = probe_tokens(model)
    positions = torch.arange(NUM_TOKENS)[None]
    model.set_attn_implementation(PROBE)
    last = torch.tensor([NUM_TOKENS - 1])
    ours = model(input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=last).logits[0, -1]
    model.set_attn_implementation("eager")
    theirs = model(input_ids=ids, use_cache=False).logits[0, -1]
    _compare(name, ours, theirs, theirs.dtype)
    num_layers = model.config.get_text_config().num_hidden_layers
    if sorted(recording.kv_layers) != list(range(num_layers)):
        raise StartupError(
            f"model {name}: {len(recording.kv_layers)} of its {num_layers} layers have attention with a KV cache;"
            " layers with other state are not supported",
            "this architecture cannot be served yet",
        )
    order = range(num_layers)
    return DecoderFacts(tuple(recording.kv_layers[i] for i in order), tuple(recording.arguments[i] for i in order))


@torch.inference_mode()
def probe_encoder(card: ModelCard, model: PreTrainedModel) -> PackedEncoder | None:
    """Check that what we compute without padding is the model's own, one sequence after the other, and that vectors
    are as wide as the card says. Raises StartupError if not.

    Returns what runs the model's own modules without padding; None for a model that is padded.
    """
    theirs = _encode_alone(padded_scorer(card), model)
    if theirs.shape[1] != card.num_labels:
        raise StartupError(
            f"model {card.name}: its vectors have {theirs.shape[1]} numbers, its files say {card.num_labels}",
            "its sentence-transformers files do not fit its weights",
        )
    if card.attention_backend != PACKED:
        return None
    ours = packed_scorer(card)
    register_attention(PROBE, ours.encoder.attend)
    model.set_attn_implementation(PROBE)
    ours.take(model)
    ids = probe_tokens(model)[0]
    packed = ours.score(ids, torch.zeros_like(ids), [part.stop - part.start for part in _PARTS])
    _compare(card.name, packed, theirs, model.dtype)
    return ours.encoder


def _encode_alone(scorer: Scorer, model: PreTrainedModel) -> torch.Tensor:
    """[parts, labels], each part of the probe's tokens in a call of its own, by the model's own attention."""
    if model._supports_attention_backend:
        model.set_attn_implementation("eager")
    scorer.take(model)
    ids = probe_tokens(model)[0]
    return torch.cat([scorer.score(ids[p], torch.zeros_like(ids[p]), [p.stop - p.start]) for p in _PARTS])


def probe_tokens(model: PreTrainedModel) -> torch.Tensor:
    """int64 [1, NUM_TOKENS]: ids from the middle of the vocabulary, where no special tokens are."""
    vocab: int = model.config.get_text_config().vocab_size
    return (vocab // 2 + torch.arange(NUM_TOKENS) * 7)[None] % vocab


def _compare(name: str, ours: torch.Tensor, theirs: torch.Tensor, computed_in: torch.dtype) -> None:
    scale = float(theirs.abs().max()) or 1.0
    difference = float((ours.float() - theirs.float()).abs().max()) / scale
    if not difference <= TOLERANCE.get(computed_in, 0.15):
        raise StartupError(
            f"model {name}: our attention changes its output (by {difference:.2g} of the largest logit),"
            " so the architecture does something we do not know",
            "this architecture cannot be served yet; please report it",
        )
