"""The models: known shapes, random weights from fixed seeds. Speed does not depend on what the weights say.

Tokens that are no text by themselves, and the end of text, have zero embeddings. All generating models tie their
embeddings, so such a token's logit is 0 and greedy drawing never takes it: every token shows, and no text ends early.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from benchmarks.peers.tokenizer import BEGIN, END, PAD, VOCAB_SIZE, learn_tokenizer, save_tokenizer, shown_ids

_COMMON: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": PAD}
_ROPE_1E6 = {"rope_type": "default", "rope_theta": 1e6}
_ROPE_1E4 = {"rope_type": "default", "rope_theta": 1e4}


def _qwen3() -> Any:
    config = Qwen3Config(
        **_COMMON,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=4096,
        rope_parameters=_ROPE_1E6,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config)


def _gqa() -> Any:
    """Qwen2-0.5B's shape: 14 query heads over 2, biases at the projections."""
    config = Qwen2Config(
        **_COMMON,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rope_parameters=_ROPE_1E6,
        tie_word_embeddings=True,
    )
    model: Any = Qwen2ForCausalLM(config)
    with torch.no_grad():  # they start at zero; a peer that lost them would not be noticed
        for name, parameter in model.named_parameters():
            if name.endswith("proj.bias"):
                parameter.normal_(0.0, 0.1)
    return model


def _window() -> Any:
    """Mistral with a sliding window of 256 tokens in every layer. Texts of long prompts show that vLLM and OpenVINO
    keep to it; llama.cpp reads such a model as a Llama, attends to everything and writes other texts."""
    config = MistralConfig(
        **_COMMON,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=4096,
        sliding_window=256,
        rope_parameters=_ROPE_1E4,
        tie_word_embeddings=True,
    )
    return MistralForCausalLM(config)


def _llama_100m() -> Any:
    config = LlamaConfig(
        **_COMMON,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=4096,
        rope_parameters=_ROPE_1E4,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def _reranker() -> Any:
    """bge-reranker-base's shape, but for the smaller vocabulary."""
    config = XLMRobertaConfig(
        **_COMMON,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    config.num_labels = 1
    return XLMRobertaForSequenceClassification(config)


@dataclass(frozen=True)
class Shape:
    """One model that can be made. `make` draws from torch's generator, seeded before."""

    make: Callable[[], Any]
    seed: int
    dtype: torch.dtype = torch.bfloat16
    is_pair_encoder: bool = False


SHAPES = {
    "qwen3": Shape(_qwen3, seed=1),
    "gqa": Shape(_gqa, seed=2),
    "window": Shape(_window, seed=3),
    "llama100m": Shape(_llama_100m, seed=4),
    "rerank": Shape(_reranker, seed=5, dtype=torch.float32, is_pair_encoder=True),
}


def make_model(shape: Shape, path: Path, tokenizer: Tokenizer) -> int:
    """Write the model's folder, which must not be there. The number of parameters."""
    torch.manual_seed(shape.seed)
    model = shape.make()
    if not shape.is_pair_encoder:
        is_shown = torch.zeros(VOCAB_SIZE, dtype=torch.bool)
        is_shown[shown_ids(tokenizer)] = True
        with torch.no_grad():
            model.get_input_embeddings().weight[~is_shown] = 0.0
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.to(shape.dtype).save_pretrained(partial)
    save_tokenizer(tokenizer, partial, shape.is_pair_encoder)
    partial.rename(path)
    return sum(parameter.numel() for parameter in model.parameters())


def make_missing(folder: Path, names: list[str], say: Callable[[str], None]) -> None:
    """Those models of SHAPES that are not there yet."""
    missing = [name for name in names if not (folder / name / "config.json").exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    say("learning the tokenizer")
    tokenizer = learn_tokenizer()
    for name in missing:
        num_parameters = make_model(SHAPES[name], folder / name, tokenizer)
        say(f"made {name}: {num_parameters / 1e6:.0f} million parameters, {SHAPES[name].dtype}")
