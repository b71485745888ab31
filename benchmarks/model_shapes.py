"""Models with random weights of a known shape, made on the spot: speed does not depend on what the weights say.

The tokenizer is byte-level BPE learned from made-up words. Tokens that are no whole text by themselves (halves of UTF-8
characters, special tokens) have zero embeddings: they are never drawn, so every drawn token shows as text at once.
"""

import logging
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<|end|>", "<|pad|>")
SYLLABLES = [
    a + b for a in "b c d f g h k l m n p r s t v z br dr kl st tr".split() for b in "a e i o u ai ou an er".split()
]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LlamaShape:
    """A Llama with tied embeddings."""

    name: str
    num_layers: int = 12
    hidden_size: int = 768
    num_heads: int = 12
    num_kv_heads: int = 12
    ffn_size: int = 2048
    vocab_size: int = 32000
    max_model_len: int = 4096


LLAMA_100M = LlamaShape("llama-100m")  # 110 million parameters, 25 of them embeddings


def default_model_dir() -> Path:
    """Where made models are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME", "") or "~/.cache"
    return Path(base).expanduser() / "zerolane" / "benchmark-models"


def make_llama(shape: LlamaShape, dtype: str, folder: Path) -> Path:
    """The model's folder below `folder`, made unless it is there. The same every time."""
    path = folder / f"{shape.name}-{dtype}"
    if (path / "config.json").exists():
        return path
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    tokenizer = _learn_tokenizer(shape.vocab_size)
    _save_model(shape, dtype, tokenizer, partial)
    _save_tokenizer(tokenizer, partial)
    try:
        partial.rename(path)
    except OSError:  # another run was first
        shutil.rmtree(partial)
    return path


def text_token_ids(path: Path) -> list[int]:
    """Ids of the tokens that are text by themselves: prompts are made of them."""
    return _text_ids(Tokenizer.from_file(str(path / "tokenizer.json")))


def _learn_tokenizer(vocab_size: int) -> Tokenizer:
    source = random.Random(0)
    words = ["".join(source.choices(SYLLABLES, k=source.randint(1, 5))) for _ in range(3 * vocab_size)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words[i : i + 100]) for i in range(0, len(words), 100)], trainer)
    return tokenizer


def _text_ids(tokenizer: Tokenizer) -> list[int]:
    return [
        token_id
        for token, token_id in tokenizer.get_vocab().items()
        if token not in SPECIAL_TOKENS and "\ufffd" not in tokenizer.decode([token_id])
    ]


def _save_model(shape: LlamaShape, dtype: str, tokenizer: Tokenizer, path: Path) -> None:
    torch.manual_seed(0)
    end, pad = (tokenizer.token_to_id(token) for token in SPECIAL_TOKENS)
    config = LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.ffn_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_kv_heads,
        max_position_embeddings=shape.max_model_len,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=pad,
    )
    model: Any = LlamaForCausalLM(config)
    embeddings = model.get_input_embeddings().weight
    is_text = torch.zeros(shape.vocab_size, dtype=torch.bool)
    is_text[_text_ids(tokenizer)] = True
    with torch.no_grad():
        embeddings[~is_text] = 0.0
    model.to(getattr(torch, dtype)).save_pretrained(path)


def _save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    end, pad = SPECIAL_TOKENS
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=pad).save_pretrained(path)
