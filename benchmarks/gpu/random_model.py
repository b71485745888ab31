"""Qwen3 with random weights, made on the spot, and opened on a device as a worker opens it.

Needs torch, transformers, msgspec, numpy, safetensors and llguidance; nothing of the server's HTTP or messaging.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from ipc.config import LoaderConfig, ModelSpec
from ipc.device_memory.pool_layout import pool_layout
from ipc.model_card import ModelCard
from workers.decoder import Decoder
from workers.device_choice import choose_device
from workers.device_tensors import fill_weights, kv_pages_in, weights_in
from workers.inspect_model import inspect_model
from workers.load_model import load_model


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen3; the defaults are those of Qwen3-0.6B."""

    num_layers: int = 28
    hidden_size: int = 1024
    num_heads: int = 16
    num_kv_heads: int = 8
    head_dim: int = 128
    ffn_size: int = 3072
    vocab_size: int = 151_936
    max_model_len: int = 4096


QWEN3_600M = Shape()
TINY = Shape(2, 64, 4, 2, 16, 128, 500, 256)  # to see on a CPU that a benchmark runs


def make_qwen3(shape: Shape, folder: Path) -> Path:
    """A model folder in bfloat16, made unless it is there. Its tokenizer knows the numbers as words."""
    made = folder / "shape.json"  # written last: an interrupted run is made again
    if made.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.max_model_len,
        tie_word_embeddings=True,
        eos_token_id=None,
    )
    words = Tokenizer(models.WordLevel({str(number): number for number in range(shape.vocab_size)}, unk_token="0"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    model: Any = Qwen3ForCausalLM(config)
    model.to(torch.bfloat16).save_pretrained(folder)
    made.write_text(json.dumps(dataclasses.asdict(shape)))
    return folder


def open_on(device: torch.device, folder: Path, block_size: int, num_tokens: int, max_num_seqs: int) -> Decoder:
    """The decoder on `device` with pages for `num_tokens` tokens. Its pool is one tensor there, as in the server."""
    config = LoaderConfig(
        models=[ModelSpec("random", str(folder))],
        device="cuda" if device.type == "cuda" else "fake-cuda",
        dtype="bfloat16",
        block_size=block_size,
    )
    card = inspect_model(0, config.models[0], str(folder), config, choose_device(config.device).device)
    weights = bytearray(card.weights_bytes)
    card = load_model(card, memoryview(weights), config, lambda done, total: None)
    card = replace(card, num_pages=-(-num_tokens // block_size))
    layout = pool_layout([card])
    pool = torch.zeros(layout.size, dtype=torch.uint8, device=device)
    fill_weights(pool, layout.weights[0], memoryview(weights))
    decoder = Decoder(card, None, max_num_seqs)
    decoder.use_weights(weights_in(pool, layout.weights[0]))
    decoder.use_pages(0, kv_pages_in(pool, layout, card))
    decoder.warm_up()
    say_how(card)
    return decoder


def say_how(card: ModelCard) -> None:
    """What the figures hold for."""
    print(f"torch {torch.__version__}, attention {card.attention_backend} ({card.attention_reason})", flush=True)
