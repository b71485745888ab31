"""One tokenizer for all models: byte-level BPE learned from made-up words, in the form every peer reads.

Its pre-tokenizer is GPT-2's, which llama.cpp knows by name. Texts of whole words come back as the same tokens from
every peer, so that a prompt has as many tokens everywhere.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from benchmarks.model_shapes import SYLLABLES

VOCAB_SIZE = 32_768
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # the ids XLM-RoBERTa wants: 0, 1, 2, 3
BEGIN, PAD, END = 0, 1, 2
# Older peers do not know the class that newer transformers write.
_CLASS_ALL_KNOW = "PreTrainedTokenizerFast"


def learn_tokenizer() -> Tokenizer:
    """The same every time."""
    source = random.Random(0)
    words = ["".join(source.choices(SYLLABLES, k=source.randint(1, 5))) for _ in range(4 * VOCAB_SIZE)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words[i : i + 100]) for i in range(0, len(words), 100)], trainer)
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        raise RuntimeError(f"learned {tokenizer.get_vocab_size()} tokens instead of {VOCAB_SIZE}")
    return tokenizer


def shown_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of the tokens that are text by themselves: others may keep a stream from showing a token at once."""
    return [
        token_id
        for token, token_id in tokenizer.get_vocab().items()
        if token not in SPECIAL_TOKENS and "\ufffd" not in tokenizer.decode([token_id])
    ]


def save_tokenizer(tokenizer: Tokenizer, path: Path, is_pair_encoder: bool) -> None:
    """Into a model's folder. A pair encoder's texts become `<s> A </s> </s> B </s>`."""
    saved = Tokenizer.from_str(tokenizer.to_str())
    if is_pair_encoder:
        saved.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", BEGIN), ("</s>", END)]
        )
    PreTrainedTokenizerFast(
        tokenizer_object=saved,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        **({"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"} if is_pair_encoder else {}),
        model_max_length=512 if is_pair_encoder else 32_768,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(path)
    config_file = path / "tokenizer_config.json"
    config = json.loads(config_file.read_text())
    config["tokenizer_class"] = _CLASS_ALL_KNOW
    for key in ("backend", "is_local", "local_files_only"):
        config.pop(key, None)
    config_file.write_text(json.dumps(config, indent=1))
