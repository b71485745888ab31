"""The fake model through its pages equals its plain oracle, whatever the chunks, pages and order."""

import numpy as np
import pytest
from msgspec.structs import replace

from ipc.errors import ProtocolError
from ipc.fake_card import FAKE_EOS, fake_card
from ipc.kv_layout import kv_regions
from ipc.step_layout import StepHeader, StepKind, StepShape, step_bytes, write_header
from tests.parity.plan_driver import PlanDriver, make_columns
from workers.fake_model import FakeModel, fake_continuation, fake_score

CARD = replace(fake_card(0, "fake", "fake:generate", 0, block_size=4, created=0), num_pages=600)


def open_fake() -> FakeModel:
    kv = bytearray(b"\xff") * kv_regions(CARD)[1]
    model = FakeModel(CARD, max_num_seqs=32)
    model.use_pool(0, memoryview(kv))
    return model


def without_eos(prompts: list[list[int]], num_tokens: int) -> list[list[int]]:
    return [fake_continuation(prompt, num_tokens, ignore_eos=True) for prompt in prompts]


def test_mixed_batches_equal_the_oracle() -> None:
    prompts = [list(range(length)) for length in (1, 2, 3, 4, 5, 8, 9, 40, 100, 200)]
    driver = PlanDriver(open_fake(), CARD, budget=16)
    assert driver.run(prompts, 30) == without_eos(prompts, 30)
    again = driver.run([*prompts[5:], [1, 2, 3]], 20)
    assert again == without_eos([*prompts[5:], [1, 2, 3]], 20)
    assert driver.num_cached_tokens > 300


def test_oracle_ends_with_eos_and_answers_letters() -> None:
    outputs = [fake_continuation([seed], 1000) for seed in range(200)]
    assert all(output[-1] == FAKE_EOS for output in outputs)
    assert {token for output in outputs for token in output[:-1]} == set(range(ord("a"), ord("z") + 1))
    assert 30 < np.mean([len(output) for output in outputs]) < 120  # about one in 64


def test_every_history_shows() -> None:
    base = list(b"the same prompt but for one letter")
    changed = base.copy()
    changed[3] += 1
    swapped = [base[1], base[0], *base[2:]]
    outputs = {tuple(fake_continuation(p, 30, ignore_eos=True)) for p in (base, changed, swapped, base[:-1])}
    assert len(outputs) == 4


def test_seeds_show_with_a_temperature_only() -> None:
    prompt = list(b"hello")
    assert fake_continuation(prompt, 20, seed=1) == fake_continuation(prompt, 20, seed=2)
    assert fake_continuation(prompt, 20, seed=1, temperature=1.0) != fake_continuation(
        prompt, 20, seed=2, temperature=1.0
    )


def test_sampled_step_equals_the_oracle() -> None:
    columns = make_columns(StepShape(StepKind.GENERATE, 1, 5, 2))
    columns.num_new[:] = 5
    columns.flags[:] = 1
    columns.temperature[:] = 0.7
    columns.seed[:] = 42
    columns.token_ids[:] = list(b"hello")
    columns.block_tables[:] = [[9, 4]]
    open_fake().run(columns)
    assert columns.sampled[0] == fake_continuation(list(b"hello"), 1, seed=42, temperature=0.7)[0]


def test_scores_equal_the_oracle() -> None:
    card = fake_card(0, "fake", "fake:score", 0, block_size=16, created=0)
    pairs = [[1, 2, 3], [7], [1, 2, 4]]
    shape = StepShape(StepKind.SCORE, 3, 7, num_labels=1)
    block = memoryview(bytearray(step_bytes(shape)))
    columns = write_header(block, StepHeader(1, 0, 1, shape))
    columns.num_new[:] = [3, 1, 3]
    columns.token_ids[:] = np.concatenate(pairs)
    FakeModel(card, 1).run(columns)
    assert columns.scores[:, 0].tolist() == [fake_score(pair) for pair in pairs]
    assert len(set(columns.scores[:, 0].tolist())) == 3


@pytest.mark.parametrize(
    ("field", "value"), [("block_tables", 600), ("block_tables", -1), ("num_new", 0), ("start", -1), ("token_ids", 257)]
)
def test_an_impossible_plan_is_refused(field: str, value: int) -> None:
    columns = make_columns(StepShape(StepKind.GENERATE, 1, 1, 1))
    columns.num_new[:] = 1
    getattr(columns, field)[:] = value
    with pytest.raises(ProtocolError):
        open_fake().run(columns)
