"""The tokenizer of tiny-chat: byte-level BPE, trained on the conversations, with the chat template built in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 2048
MAX_LENGTH = 2048
START, END, END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
# Tags are one token each but no special tokens: whoever parses tool calls must see them in the decoded text.
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>")

# Digits stand alone, so that sums are learnable. A capitalised word never holds the space before it, so that a name
# has the same tokens wherever it stands, and copying it is copying tokens.
_WORDS = r"'(?:s|m|d|re|ll|ve|t)\b| ?[\p{Ll}\p{M}]+|\p{Lu}[\p{Ll}\p{M}]*|\p{L}|\p{N}|<\|?| ?[^\s\p{L}\p{N}]+|\s"


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer for texts like these, ready to be saved beside a model."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(TAGS),
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[START],
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
        chat_template=Path(__file__).with_name("chat_template.jinja").read_text(encoding="utf-8").rstrip("\n"),
    )
