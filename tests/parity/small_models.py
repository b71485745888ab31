"""Small random models of many architectures, made on the spot.

Wide initialisation, so that no two logits are nearly equal.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

VOCAB = 320
_SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.25,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_SLIDING = {"layer_types": ["sliding_attention", "full_attention"]}

DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {}),
    "llama_tied": ("LlamaForCausalLM", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 24}),
    "mistral_window_12": ("MistralForCausalLM", {"sliding_window": 12}),
    "gemma2": (
        "Gemma2ForCausalLM",
        {"head_dim": 16, "sliding_window": 24, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 5.0} | _SLIDING,
    ),
    "gemma3": ("Gemma3ForCausalLM", {"head_dim": 16, "sliding_window": 20, "query_pre_attn_scalar": 16} | _SLIDING),
    "phi3": ("Phi3ForCausalLM", {}),
    "gpt2": ("GPT2LMHeadModel", {"n_positions": 1024, "n_embd": 64, "n_layer": 2, "n_head": 4}),
    "gpt_neox": ("GPTNeoXForCausalLM", {"rotary_pct": 0.25}),
    "olmo2": ("Olmo2ForCausalLM", {}),
    "qwen3_moe": (
        "Qwen3MoeForCausalLM",
        {"head_dim": 16, "moe_intermediate_size": 48, "num_experts": 4, "num_experts_per_tok": 2},
    ),
    "mixtral": ("MixtralForCausalLM", dict(_EXPERTS)),
    "granite": ("GraniteForCausalLM", {"logits_scaling": 4.0, "residual_multiplier": 0.5}),
    "cohere2": ("Cohere2ForCausalLM", {"sliding_window": 16, "logit_scale": 0.5} | _SLIDING),
    "gpt_oss": ("GptOssForCausalLM", {"head_dim": 16, "sliding_window": 16} | _SLIDING | _EXPERTS),
}

_ENCODER_SIZES = {key: value for key, value in _SIZES.items() if key != "num_key_value_heads"} | {
    "num_labels": 1,
    "max_position_embeddings": 160,
}
SCORERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForSequenceClassification", {}),
    "roberta": ("RobertaForSequenceClassification", {"pad_token_id": 1, "bos_token_id": 0}),
    "xlm_roberta": ("XLMRobertaForSequenceClassification", {"pad_token_id": 1, "bos_token_id": 0}),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96},
    ),
    "electra": ("ElectraForSequenceClassification", {"embedding_size": 32}),
    "modernbert_cls": ("ModernBertForSequenceClassification", {"local_attention": 16, "classifier_pooling": "cls"}),
    "modernbert_mean": (
        "ModernBertForSequenceClassification",
        {"local_attention": 16, "classifier_pooling": "mean", "num_hidden_layers": 4},
    ),
    "deberta_padded": (
        "DebertaV2ForSequenceClassification",
        {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 32},
    ),
    "qwen3_decoder": ("Qwen3ForSequenceClassification", {"head_dim": 16, "num_key_value_heads": 2, "pad_token_id": 1}),
}


_NO_LABELS = {key: value for key, value in _ENCODER_SIZES.items() if key != "num_labels"}
EMBEDDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertModel", {}),
    "xlm_roberta": ("XLMRobertaModel", {"pad_token_id": 1, "bos_token_id": 0}),
    "modernbert": ("ModernBertModel", {"local_attention": 16, "num_hidden_layers": 4}),
    "mpnet_padded": ("MPNetForMaskedLM", {"pad_token_id": 1, "bos_token_id": 0}),
    "deberta_padded": ("DebertaV2Model", SCORERS["deberta_padded"][1]),
    "distilbert": ("DistilBertModel", {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96}),
    "qwen3": ("Qwen3ForCausalLM", {"head_dim": 16, "num_key_value_heads": 2, "pad_token_id": 1}),
    "llama_both_sides": ("LlamaModel", {"num_key_value_heads": 2, "pad_token_id": 1, "is_causal": False}),
    "gemma3_both_sides": (
        "Gemma3TextModel",
        {"head_dim": 16, "num_key_value_heads": 2, "sliding_window": 20, "query_pre_attn_scalar": 16}
        | {"use_bidirectional_attention": True, "pad_token_id": 1}
        | _SLIDING,
    ),
}


def save_embedder(name: str, folder: Path) -> None:
    """Write the model called `name` in EMBEDDERS to `folder`, in float32, without sentence-transformers files."""
    architecture, changes = EMBEDDERS[name]
    _save(architecture, _NO_LABELS | changes, folder)


def save_decoder(name: str, folder: Path, **more: int) -> None:
    """Write the decoder called `name` in DECODERS to `folder`, in float32. `more`: other sizes."""
    architecture, changes = DECODERS[name]
    _save(architecture, _SIZES | changes | more, folder)


def save_scorer(name: str, folder: Path) -> None:
    """Write the sequence-classification model called `name` in SCORERS to `folder`, in float32."""
    architecture, changes = SCORERS[name]
    _save(architecture, _ENCODER_SIZES | changes, folder)


def _save(architecture: str, options: dict[str, Any], folder: Path) -> None:
    cls: Any = getattr(transformers, architecture)
    config = cls.config_class(**options)
    torch.manual_seed(7)
    model = cls(config).float().eval()
    _widen_norms(model)
    model.save_pretrained(folder)


def _widen_norms(model: torch.nn.Module) -> None:
    """Fresh models have all-one norms, zero biases and zero sinks.

    Give each its own numbers, or mistakes in them hide.
    """
    fill: Callable[[torch.Tensor], torch.Tensor] = lambda tensor: tensor + 0.3 * torch.randn_like(tensor)  # noqa: E731
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or "sinks" in name:
                parameter.copy_(fill(parameter))
