"""Greedy parity with transformers' `generate`, float32, for small random models of many architectures."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.parity.in_process import open_decoder
from tests.parity.plan_driver import PlanDriver
from tests.parity.small_models import DECODERS, VOCAB, save_decoder

pytestmark = pytest.mark.parity
NUM_TOKENS = 64
LENGTHS = [1, 2, 3, 15, 16, 17, 31, 33, 48, 64, 65, 100, 150, 257, 400, 600]


def make_prompts() -> list[list[int]]:
    """16 prompts of 1 to 600 tokens; some begin alike, so that the prefix cache has something to find."""
    source = random.Random(3)
    shared = [source.randrange(3, VOCAB) for _ in range(40)]
    prompts = [[source.randrange(3, VOCAB) for _ in range(length)] for length in LENGTHS]
    for prompt in prompts[9:13]:
        prompt[:40] = shared
    return prompts


def generate(folder: Path, prompts: list[list[int]]) -> list[list[int]]:
    """What transformers answers, one prompt at a time."""
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    outputs = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NUM_TOKENS,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        outputs.append(output[0, len(prompt) :].tolist())
    return outputs


@pytest.mark.parametrize("name", list(DECODERS))
def test_equals_generate_alone_and_mixed(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    prompts = make_prompts()
    expected = generate(tmp_path, prompts)
    card, decoder = open_decoder(tmp_path)
    assert card.attention_backend == "paged", card.attention_reason

    mixed = PlanDriver(decoder, card, budget=64)
    assert mixed.run(prompts, NUM_TOKENS) == expected
    assert mixed.num_cached_tokens == 0  # all came at once
    alone = PlanDriver(decoder, card, budget=64, seed=1)
    assert alone.run([prompts[13]], NUM_TOKENS) == [expected[13]]
    assert alone.run([prompts[0]], NUM_TOKENS) == [expected[0]]


@pytest.mark.parametrize("name", ["llama", "mistral_window_12", "gemma2", "gpt2", "qwen3_moe"])
def test_equals_generate_with_a_warm_prefix_cache(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    prompts = make_prompts()[4:]
    expected = generate(tmp_path, prompts)
    card, decoder = open_decoder(tmp_path)
    driver = PlanDriver(decoder, card, budget=64)
    driver.run(prompts[:6], 1)
    assert driver.run(prompts, NUM_TOKENS) == expected
    assert driver.num_cached_tokens > 200


@pytest.mark.parametrize("name", ["gemma2", "gpt_oss"])
def test_reference_back_end_equals_generate(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    prompts = make_prompts()[:7]
    expected = generate(tmp_path, prompts)
    card, decoder = open_decoder(tmp_path, backend="reference")
    assert PlanDriver(decoder, card, budget=64).run(prompts, NUM_TOKENS) == expected
