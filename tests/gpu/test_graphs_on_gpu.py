"""Decode steps through CUDA graphs against the same steps without, and greedy tokens found on the GPU."""

from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from ipc.device_memory.pool_layout import pool_layout
from tests.parity.in_process import load_card
from tests.parity.plan_driver import PlanDriver
from tests.parity.small_models import save_decoder
from workers.decoder import Decoder
from workers.device_tensors import fill_weights, kv_pages_in, weights_in
from workers.greedy_on_device import greedy_tokens

PROMPTS = [[1, 5, 9, 200, 17] * 9, [3, 4], list(range(100, 133))]


def _decoder(folder: Path, backend: str) -> tuple[Decoder, PlanDriver]:
    card, weights = load_card(folder, "reference", "float32")
    card = replace(card, num_pages=60, attention_backend=backend, device="cuda")
    layout = pool_layout([card])
    pool = torch.zeros(layout.size, dtype=torch.uint8, device="cuda")
    fill_weights(pool, layout.weights[0], memoryview(weights))
    decoder = Decoder(card, None, max_num_seqs=32)
    decoder.use_weights(weights_in(pool, layout.weights[0]))
    decoder.use_pages(0, kv_pages_in(pool, layout, card))
    return decoder, PlanDriver(decoder, card)


@pytest.mark.parametrize("name", ["llama_tied", "mistral_window_12"])
def test_the_same_tokens_with_and_without(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    plain, driver = _decoder(tmp_path, "gathered")
    plain._graphs = None
    expected = driver.run(PROMPTS, 12)
    decoder, driver = _decoder(tmp_path, "gathered")
    decoder.warm_up()
    assert driver.run(PROMPTS, 12) == expected
    assert decoder._graphs is not None
    assert decoder._graphs.obstacle == ""


def test_equal_logits_name_the_first_token_on_the_gpu_too() -> None:
    source = torch.Generator().manual_seed(3)
    logits = torch.randint(-3, 4, (64, 150_000), generator=source).to(torch.bfloat16)
    assert greedy_tokens(logits.cuda()).tolist() == greedy_tokens(logits).tolist()
