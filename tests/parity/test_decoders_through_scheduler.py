"""The same parity through the real scheduler: its planner, its pages, its prefix cache, two steps in flight."""

from pathlib import Path

import pytest

from tests.parity.in_process import open_decoder
from tests.parity.small_models import save_decoder
from tests.parity.test_decoders import NUM_TOKENS, generate, make_prompts
from tests.support.engine_in_process import Engine

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", ["llama", "mistral_window_12", "gemma2", "qwen3_moe"])
def test_equals_generate_cold_warm_and_short_of_pages(name: str, tmp_path: Path) -> None:
    save_decoder(name, tmp_path)
    prompts = make_prompts()
    expected = generate(tmp_path, prompts)
    card, decoder = open_decoder(tmp_path, num_pages=150)  # too few for all: some are preempted or wait
    engine = Engine(generate=(card, decoder), max_num_seqs=16, max_num_batched_tokens=64)
    try:
        for round_number in range(2):  # the second round finds prefixes in the cache
            for number, prompt in enumerate(prompts):
                engine.submit(100 * round_number + number, prompt, NUM_TOKENS, ignore_eos=True)
            engine.run()
            for number in range(len(prompts)):
                assert engine.seen[100 * round_number + number].tokens == expected[number]
        assert sum(engine.seen[100 + number].num_cached for number in range(len(prompts))) > 100
    finally:
        engine.close()
