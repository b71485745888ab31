"""How KV memory is divided between models."""

import pytest

from ipc.config import ServeConfig
from ipc.errors import StartupError
from ipc.kv_layout import kv_regions
from ipc.model_card import KvLayer, ModelCard
from zerolane.memory_layout import arena_bytes, pages_per_stream, with_kv_pages

MIB = 1 << 20


def card(index: int, max_model_len: int = 1024, num_layers: int = 2, task: str = "generate") -> ModelCard:
    """float32, 4 heads of 16: 16 KiB a page of 16 tokens for two layers."""
    is_generate = task == "generate"
    return ModelCard(
        index=index,
        name=f"model-{index}",
        path="somewhere",
        task="generate" if is_generate else "score",
        architecture="Test",
        dtype="float32",
        vocab_size=100,
        max_model_len=max_model_len,
        kv_layers=(KvLayer(4, 16, 16),) * num_layers if is_generate else (),
    )


def pages(config: ServeConfig, kv_bytes: int, *cards: ModelCard) -> list[int]:
    return [made.num_pages for made in with_kv_pages(cards, config, kv_bytes)]


def test_memory_is_split_evenly() -> None:
    assert pages(ServeConfig(), 8 * MIB, card(0), card(1)) == [256, 256]


def test_a_score_model_takes_none() -> None:
    assert pages(ServeConfig(), 8 * MIB, card(0), card(1, task="score")) == [512, 0]


def test_no_more_pages_than_all_streams_at_full_length_need() -> None:
    config = ServeConfig(max_num_seqs=3)
    assert pages(config, 512 * MIB, card(0, max_model_len=100)) == [3 * 7]


def test_what_one_model_cannot_use_goes_to_the_others() -> None:
    config = ServeConfig(max_num_seqs=2)
    small, large = card(0, max_model_len=16), card(1, max_model_len=65536)
    assert pages(config, 80 * MIB, large, small) == [80 * 64 - 2, 2]


def test_the_pages_fit_the_memory() -> None:
    config = ServeConfig(block_size=32)
    made = with_kv_pages([card(0), card(1, num_layers=5)], config, 64 * MIB)
    assert all(each.block_size == 32 for each in made)
    assert sum(kv_regions(each)[1] for each in made) <= 64 * MIB


def test_one_stream_of_full_length_must_fit() -> None:
    assert pages(ServeConfig(), MIB, card(0)) == [pages_per_stream(card(0))]
    with pytest.raises(StartupError) as caught:
        with_kv_pages([card(0)], ServeConfig(), MIB - 1)
    assert "1024 tokens of model-0" in str(caught.value)
    assert caught.value.advice == "Give more --kv-cache-memory, or --max-model-len 1008 or less."


def test_the_arena_holds_the_largest_steps() -> None:
    assert arena_bytes(ServeConfig()) == (64 + 32) * MIB
    assert arena_bytes(ServeConfig(max_num_seqs=4096)) > 4 * 4096 * 131072 // 16 * 4


def test_a_model_whose_steps_do_not_fit_is_refused_with_advice() -> None:
    long = card(0, max_model_len=16 << 20, num_layers=1)
    with pytest.raises(StartupError) as caught:
        with_kv_pages([long], ServeConfig(), 1 << 40)
    assert "--max-model-len" in caught.value.advice
