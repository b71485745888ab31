"""The tokenizer of tiny-chat: byte-level BPE, trained on the conversations, with the chat template built in."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

NUM_PIECES = 768  # byte-level BPE tokens, of which any text can be spelt
VOCABULARY_SIZE = 3072  # with the words that have a token of their own
MAX_LENGTH = 2048
START, END, END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
# Tags are one token each but no special tokens: whoever parses tool calls must see them in the decoded text.
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>")

_MARKS = re.compile("|".join(map(re.escape, (START, END, END_OF_TEXT, *TAGS))))

# Digits and minus signs stand alone, so that numbers are learnable. A capitalised word never holds the space before
# it, so that a name has the same tokens wherever it stands, and copying it is copying tokens.
_WORDS = r"'(?:s|m|d|re|ll|ve|t)\b| ?[\p{Ll}\p{M}]+|\p{Lu}[\p{Ll}\p{M}]*|\p{L}|\p{N}|<\|?|-| ?[^\s\p{L}\p{N}-]+|\s"


def train_tokenizer(texts: Iterable[str], known_words: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer for texts like these, ready to be saved beside a model.

    Every word of `known_words`, and the most frequent words of `texts`, is one token: a model copies and completes
    words far sooner than pieces of words. All else is spelt in BPE pieces.
    """
    texts = list(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=NUM_PIECES,
        special_tokens=[END_OF_TEXT, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = trained["vocab"]
    for word in _words(texts, list(known_words)):
        if len(vocabulary) >= VOCABULARY_SIZE - len(TAGS):
            break
        vocabulary.setdefault(word, len(vocabulary))
    merges = [(left, right) for left, right in trained["merges"]]
    return _finished(Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True)))


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _words(texts: list[str], known_words: list[str]) -> list[str]:
    """The known words, then all others of the texts, the most frequent first; spelt as the vocabulary spells bytes."""
    split = _pre_tokenizer()
    known = [piece for word in known_words for piece, _ in split.pre_tokenize_str(word)]
    counts = Counter(
        piece for text in texts for part in _MARKS.split(text) for piece, _ in split.pre_tokenize_str(part)
    )
    return list(dict.fromkeys(known)) + [piece for piece, count in counts.most_common() if count > 1]


def _finished(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT, START, END])
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
