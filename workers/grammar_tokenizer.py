"""What llguidance must know of a model's tokens, made once from the checkpoint's tokenizer.json.

Making it starts no thread, so the process that workers are forked from does it, and they share its memory.
"""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from llguidance import LLTokenizer

from ipc.model_card import ModelCard

_END = "<|zerolane: end of the grammar|>"
_logger = logging.getLogger("zerolane.workers.grammar_tokenizer")


class GrammarTokenizer(NamedTuple):
    """`end` stands for every end of sequence the model may have, none included: a token of its own that no model
    draws. It may be beyond the vocabulary or take a number there that no text has."""

    tokens: LLTokenizer
    end: int


def grammar_tokenizer(card: ModelCard) -> GrammarTokenizer | None:
    """None, with a line in the log, for a model whose tokenizer cannot be read: its grammars fail."""
    path = Path(card.path) / "tokenizer.json"
    if not path.exists():
        _logger.info("%s has no tokenizer.json, so no grammars", card.name)
        return None
    try:
        return _read(path, card.vocab_size)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # what a file in another form leads to
        _logger.warning("the tokenizer of %s cannot be used for grammars: %s", card.name, str(error)[:300])
        return None


def _read(path: Path, vocab_size: int) -> GrammarTokenizer:
    described: dict[str, Any] = json.loads(path.read_bytes())
    vocab = described["model"]["vocab"]  # text -> id, or pairs of text and score
    added: list[dict[str, Any]] = described.setdefault("added_tokens", [])
    last = max(vocab.values()) if isinstance(vocab, dict) else len(vocab) - 1
    end = max([last, *(token["id"] for token in added)]) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    added.append({"id": end, "content": _END, "special": True, **flags})
    tokens = LLTokenizer(json.dumps(described), n_vocab=max(vocab_size, end + 1), eos_token=end)
    return GrammarTokenizer(tokens, end)
