"""The cards of the built-in models."""

import pytest

from ipc.fake_card import fake_card
from ipc.kv_layout import page_bytes


def test_generate() -> None:
    card = fake_card(2, "name", "fake:generate", 0, 16, 77)
    assert (card.index, card.name, card.task, card.created) == (2, "name", "generate", 77)
    assert card.is_fake
    assert (card.vocab_size, card.eos_token_ids, card.max_model_len) == (257, (256,), 4096)
    assert page_bytes(card.kv_layers, card.block_size, card.dtype) == 16 * 8


def test_score() -> None:
    card = fake_card(0, "name", "fake:score", 128, 32, 0)
    assert (card.task, card.num_labels, card.kv_layers, card.max_model_len) == ("score", 1, (), 128)


def test_there_are_no_others() -> None:
    with pytest.raises(KeyError):
        fake_card(0, "name", "fake:dance", 0, 16, 0)


def test_embed() -> None:
    card = fake_card(0, "name", "fake:embed", 0, 16, 0)
    assert (card.task, card.num_labels, card.kv_layers) == ("embed", 32, ())
    assert card.embedding is not None
