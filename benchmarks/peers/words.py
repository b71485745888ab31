"""Texts with a known number of tokens: made of words that are one token each, after a space."""

import random
from pathlib import Path

from tokenizers import Tokenizer


def one_token_words(model: Path) -> list[str]:
    """Words that come back from the model's tokenizer as one token, with the space before them."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    space = "\u0120"  # how byte-level BPE writes it
    words = sorted(
        f" {token[1:]}" for token in tokenizer.get_vocab() if token.startswith(space) and token[1:].isalpha()
    )
    encoded = tokenizer.encode_batch(words, add_special_tokens=False)
    return [word for word, found in zip(words, encoded, strict=True) if len(found.ids) == 1 and word.isascii()]


def text_of(words: list[str], num_tokens: int, source: random.Random) -> str:
    return "".join(source.choices(words, k=num_tokens))
