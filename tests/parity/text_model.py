"""A tiny random Llama with a byte-level tokenizer: what it says is nonsense, but it is text.

Its output layer is wider than the tokenizer, as many models' are, and it has two ends of sequence.
"""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

EOS_IDS = (0, 1)
SPECIAL_TOKENS = ["<|end|>", "<|turn|>", "<|pad|>"]
WIDTH = 512  # of the output layer


def save_text_model(folder: Path, eos_ids: tuple[int, ...] = EOS_IDS) -> Tokenizer:
    """Write model and tokenizer to `folder`; the tokenizer is given back too."""
    tokenizer = learn_tokenizer()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=WIDTH,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.25,
        bos_token_id=None,
        eos_token_id=list(eos_ids) or None,
        pad_token_id=2,
    )
    torch.manual_seed(7)
    LlamaForCausalLM(config).float().save_pretrained(folder)
    return tokenizer


def learn_tokenizer() -> Tokenizer:
    """Byte-level BPE of some JSON-like text, the special tokens first."""
    source = random.Random(0)
    marks = ['{"', '":', '",', '"}', "[]", '": "', "\n", " 12", " -3.5", " true", " null", "é", "日本", "\\n"]
    words = ["".join(source.choices("abcdehilmnorstu", k=source.randint(2, 6))) for _ in range(60)]
    text = [" ".join(source.choices(marks + words, k=200)) for _ in range(20)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WIDTH - 12,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer
