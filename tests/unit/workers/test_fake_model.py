"""The fake model through its pages equals its plain oracle, whatever the chunks, pages and order."""

import numpy as np
import pytest
from msgspec.structs import replace

from ipc.errors import ProtocolError
from ipc.fake_card import FAKE_EOS, FAKE_VOCAB_SIZE, fake_card
from ipc.kv_layout import kv_regions
from ipc.step_layout import StepHeader, StepKind, StepShape, step_bytes, write_header
from ipc.token_rules import TokenRules
from tests.parity.plan_driver import PlanDriver, make_columns
from tests.parity.ruled_driver import RuledDriver, RuledStream, Told
from workers.fake_logprobs import fake_logprobs
from workers.fake_model import FakeModel, fake_continuation, fake_embedding, fake_score, next_token, stream_hash

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


def told_by_the_oracle(history: list[int], token: int, num_top: int) -> Told:
    said = stream_hash(history)
    found = fake_logprobs(said, next_token(said), token, num_top)
    return Told(token, *found)


def test_logprobs_equal_the_oracle() -> None:
    streams = [
        RuledStream(list(b"some prompt"), num_logprobs=3, num_prompt_logprobs=2),
        RuledStream(list(b"another one"), temperature=0.5, seed=9, num_logprobs=0),
        RuledStream(list(b"a third"), num_prompt_logprobs=300),
    ]
    RuledDriver([open_fake()], CARD, chunk=4).run(streams, 12)
    for stream in streams:
        assert stream.output == fake_continuation(stream.prompt, 12, stream.seed, stream.temperature, ignore_eos=True)
        for position, told in enumerate(stream.told, len(stream.prompt)):
            assert told == told_by_the_oracle(stream.tokens[:position], stream.tokens[position], stream.num_logprobs)
            assert told.rank == 1 or stream.temperature > 0
        for position, told in stream.prompt_told.items():
            expected = told_by_the_oracle(stream.prompt[:position], stream.prompt[position], 300)
            num_top = min(stream.num_prompt_logprobs, FAKE_VOCAB_SIZE)
            assert told[:3] == expected[:3]
            assert told.top_ids[:num_top] == expected.top_ids[:num_top]
            assert told.top_logprobs[:num_top] == expected.top_logprobs[:num_top]
    assert [len(stream.told) for stream in streams] == [12, 12, 0]
    assert [len(stream.prompt_told) for stream in streams] == [10, 0, 6]


def test_logprobs_are_such_of_a_distribution() -> None:
    for history in (1, 1 << 40, 12345678901):
        every = [fake_logprobs(history, 97, token, 0).logprob for token in range(FAKE_VOCAB_SIZE)]
        assert all(logprob == np.float32(logprob) for logprob in every)
        assert 0.5 < np.exp(every).sum() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_rules_equal_the_oracle(seed: int) -> None:
    prompt = [seed, *b"hello"]
    allowed = np.array([5, 6, 7, FAKE_EOS], np.int32).tobytes()
    cases = [
        TokenRules(min_tokens=90, stop_ids=np.array([FAKE_EOS], np.int32).tobytes()),
        TokenRules(allowed_ids=allowed),
        TokenRules(grammar="not looked at", presence_penalty=1.0),
    ]
    streams = [RuledStream(prompt, rules, eos_ids=(FAKE_EOS,)) for rules in cases]
    RuledDriver([open_fake()], CARD, chunk=3).run(streams, 100)
    for stream, rules in zip(streams, cases, strict=True):
        assert stream.output == fake_continuation(prompt, 100, rules=rules)
    assert len(streams[0].output) > 90
    assert set(streams[1].output) <= {5, 6, 7, FAKE_EOS}


def test_a_history_that_is_not_the_pages_is_refused() -> None:
    stream = RuledStream(list(b"some prompt"), TokenRules(min_tokens=1))
    driver = RuledDriver([open_fake()], CARD, chunk=4)
    driver.admit(stream, 5)
    driver.step([stream])
    stream.prompt[2] += 1
    driver.step([stream])
    with pytest.raises(ProtocolError, match="other tokens"):
        driver.step([stream])


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


def test_vectors_equal_the_oracle() -> None:
    card = fake_card(0, "fake", "fake:embed", 0, block_size=16, created=0)
    texts = [[1, 2, 3], [7]]
    shape = StepShape(StepKind.SCORE, 2, 4, num_labels=card.num_labels)
    block = memoryview(bytearray(step_bytes(shape)))
    columns = write_header(block, StepHeader(1, 0, 1, shape))
    columns.num_new[:] = [3, 1]
    columns.token_ids[:] = np.concatenate(texts)
    FakeModel(card, 1).run(columns)
    assert columns.scores.tolist() == [fake_embedding(text, card.num_labels) for text in texts]
    assert len(set(columns.scores.ravel().tolist())) > 60


@pytest.mark.parametrize(
    ("field", "value"), [("block_tables", 600), ("block_tables", -1), ("num_new", 0), ("start", -1), ("token_ids", 257)]
)
def test_an_impossible_plan_is_refused(field: str, value: int) -> None:
    columns = make_columns(StepShape(StepKind.GENERATE, 1, 1, 1))
    columns.num_new[:] = 1
    getattr(columns, field)[:] = value
    with pytest.raises(ProtocolError):
        open_fake().run(columns)
