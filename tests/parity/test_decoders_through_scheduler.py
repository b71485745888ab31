"""The same parity through the real scheduler: its planner, its pages, its prefix cache, two steps in flight."""

from pathlib import Path

import pytest

from ipc.kv_layout import kv_regions
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


@pytest.mark.parametrize("name", ["llama", "mistral_window_12"])
def test_equals_generate_while_streams_change_pools(name: str, tmp_path: Path) -> None:
    """A pool is removed in the middle and its pages are copied to the other, again and again."""
    save_decoder(name, tmp_path)
    prompts = make_prompts()
    expected = generate(tmp_path, prompts)
    card, decoder = open_decoder(tmp_path, num_pages=400)
    decoder.use_pool(1, memoryview(bytearray(b"\xff") * kv_regions(card)[1]))
    engine = Engine(generate=(card, decoder), num_workers=2, num_pools=2, max_num_seqs=16, max_num_batched_tokens=64)
    try:
        for number, prompt in enumerate(prompts):
            engine.submit(number, prompt, NUM_TOKENS, ignore_eos=True)
        num_removed = 0
        while not engine.is_idle or engine.router.incoming:
            engine.turn()
            for worker in engine.workers.values():
                worker.work()
            present = set(engine.ledger.pages.caches)
            for pool in {0, 1} - present:
                engine.add_pool(pool)
            if len(present) == 2 and not engine.state.draining_pools:
                engine.drain_pool(num_removed % 2)
                num_removed += 1
        assert num_removed > 4
        for number in range(len(prompts)):
            assert engine.seen[number].tokens == expected[number]
    finally:
        engine.close()
