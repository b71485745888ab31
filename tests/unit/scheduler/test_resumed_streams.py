"""Streams that an earlier scheduler had begun: they go on where they were, and are not counted twice."""

from collections.abc import Callable

import pytest

from ipc.codec import encode
from ipc.errors import ErrorCode
from ipc.messages import FinishReason, Hello, SamplingParams, Welcome
from tests.support.engine_in_process import FRONTEND, Engine, Seen
from workers.fake_model import fake_continuation, fake_score

MakeEngine = Callable[..., Engine]
PROMPT = list(range(1, 40))
SEED = 4711


def resume(engine: Engine, stream_id: int, output: list[int], max_tokens: int, **fields: object) -> None:
    engine.seen[stream_id] = Seen(tokens=list(output))  # its client has them
    engine.submit(stream_id, PROMPT + output, max_tokens, num_output=len(output), resumes=True, **fields)


def counted(engine: Engine, family: str) -> float:
    readings = {reading.family.name: reading for reading in engine.page.read()}
    return sum(readings[f"zerolane_{family}"].values.values())


@pytest.mark.parametrize("num_output", [0, 1, 15, 29])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_it_goes_on_as_if_nothing_had_happened(make_engine: MakeEngine, num_output: int, temperature: float) -> None:
    engine = make_engine()
    whole = fake_continuation(PROMPT, 30, SEED, temperature, ignore_eos=True)
    sampling = SamplingParams(temperature=temperature, seed=SEED)
    resume(engine, 1, whole[:num_output], 30, sampling=sampling, ignore_eos=True)
    engine.run()
    assert engine.seen[1].tokens == whole
    assert engine.seen[1].finish is FinishReason.LENGTH
    assert engine.seen[1].num_final == 1


def test_it_survives_a_preemption(make_engine: MakeEngine) -> None:
    engine = make_engine(num_pages=8)
    whole = fake_continuation(PROMPT, 60, ignore_eos=True)
    for stream_id in (1, 2):
        resume(engine, stream_id, whole[:10], 60, ignore_eos=True, cache_salt=str(stream_id))
    engine.run()
    assert [engine.seen[stream_id].tokens for stream_id in (1, 2)] == [whole, whole]


@pytest.mark.parametrize("num_output", [-1, len(PROMPT), len(PROMPT) + 1, 8, 9])
def test_an_output_that_does_not_fit_is_one_error(make_engine: MakeEngine, num_output: int) -> None:
    """More than the tokens there are, or as many as were wanted: then its last token had its finish."""
    engine = make_engine()
    engine.submit(1, PROMPT, 8, num_output=num_output, resumes=True)
    engine.run()
    failed = engine.seen[1].failed
    assert failed is not None
    assert failed.code is ErrorCode.INVALID_REQUEST
    assert engine.seen[1].num_final == 1


def test_the_bound_of_the_queue_does_not_hold_for_it(make_engine: MakeEngine) -> None:
    engine = make_engine(max_waiting_tokens=50)
    for stream_id in (1, 2, 3):
        resume(engine, stream_id, [7], 4)
    engine.submit(4, PROMPT, 4)
    engine.turn()
    failed = engine.seen[4].failed
    assert failed is not None
    assert failed.code is ErrorCode.QUEUE_FULL
    engine.run()
    assert all(engine.seen[stream_id].failed is None for stream_id in (1, 2, 3))


def test_its_prompt_is_not_counted_again_and_its_prefill_is_one_more(make_engine: MakeEngine) -> None:
    engine = make_engine()
    resume(engine, 1, [7, 8], 6)
    engine.run()
    assert counted(engine, "prompt_tokens_total") == 0
    assert counted(engine, "reprefilled_tokens_total") == len(PROMPT) + 1


def test_usage_never_has_more_cached_than_prompt_tokens(make_engine: MakeEngine) -> None:
    engine = make_engine()
    output = fake_continuation(PROMPT, 40, ignore_eos=True)
    engine.submit(1, PROMPT, 40, ignore_eos=True)
    engine.run()
    resume(engine, 2, output[:39], 40, ignore_eos=True)  # all of it is in the cache
    engine.run()
    assert engine.seen[2].tokens == output
    assert 0 < engine.seen[2].num_cached <= len(PROMPT)


def test_scores_skip_the_bound_and_the_count_too(make_engine: MakeEngine) -> None:
    engine = make_engine(max_waiting_tokens=5)
    pairs = [[1, 2, 3], [4, 5, 6]]
    for stream_id in (1, 2):
        engine.submit_score(stream_id, pairs, resumes=True)
    engine.run()
    for stream_id in (1, 2):
        assert engine.seen[stream_id].scores == {index: fake_score(pair) for index, pair in enumerate(pairs)}
    assert counted(engine, "prompt_tokens_total") == 0


def test_a_hello_ends_what_came_before_it(make_engine: MakeEngine) -> None:
    """A frontend that makes its link anew submits everything again: what reached us by the old link is nobody's."""
    engine = make_engine()
    engine.submit(1, PROMPT, 50, ignore_eos=True)
    engine.submit_score(2, [[1, 2]])
    engine.turn()
    engine.router.incoming.append((FRONTEND, encode(Hello(0, 1))))
    resume(engine, 3, [7], 4, ignore_eos=True)
    engine.run()
    assert engine.router.sent[0][1] == Welcome(1)
    assert engine.seen[3].num_final == 1
    assert 1 not in engine.seen
    assert 2 not in engine.seen
