"""The engine as frontends see it: every stream gets exactly the fake model's continuation, whatever happens around
it.
"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.errors import ErrorCode
from ipc.messages import FinishReason, SamplingParams
from scheduler.step_pace import StepPace
from scheduler.stream import SlotState
from scheduler.worker_peer import ScoreFlight
from tests.support.engine_in_process import FRONTEND, SCORE, Engine, Seen
from workers.fake_model import fake_continuation, fake_score

MakeEngine = Callable[..., Engine]


def expect(seen: Seen, prompt: list[int], max_tokens: int) -> None:
    assert seen.tokens == fake_continuation(prompt, max_tokens)
    assert seen.num_final == 1
    assert seen.failed is None


def test_one_stream(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, list(b"hello"), 12)
    engine.run()
    expect(engine.seen[1], list(b"hello"), 12)


def test_streams_of_all_lengths_share_steps(make_engine: MakeEngine) -> None:
    engine = make_engine(num_pages=128)
    prompts = {n: [(7 * n + i) % 256 for i in range(n)] for n in range(1, 100, 7)}
    for n, prompt in prompts.items():
        engine.submit(n, prompt, 20)
    engine.run()
    for n, prompt in prompts.items():
        expect(engine.seen[n], prompt, 20)


def test_two_steps_are_in_flight_while_decoding(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, [1, 2, 3], 8)
    engine.turn()
    assert len(engine.workers[0].peer.flights) == 2


def test_length_limits(make_engine: MakeEngine) -> None:
    engine = make_engine(max_model_len=32)
    engine.submit(1, [5] * 31, 100, ignore_eos=True)
    engine.submit(2, [5] * 32, 1)
    engine.run()
    assert len(engine.seen[1].tokens) == 1
    assert engine.seen[1].finish is FinishReason.LENGTH
    failed = engine.seen[2].failed
    assert failed is not None
    assert failed.code is ErrorCode.CONTEXT_LENGTH_EXCEEDED


def test_stop_token_id_ends_a_stream(make_engine: MakeEngine) -> None:
    engine = make_engine()
    tokens = fake_continuation([9, 9], 10, ignore_eos=True)
    engine.submit(1, [9, 9], 10, ignore_eos=True, stop_token_ids=np.array(tokens[4:5], np.int32).tobytes())
    engine.run()
    first = tokens.index(tokens[4])
    assert engine.seen[1].tokens == tokens[: first + 1]
    assert engine.seen[1].finish is FinishReason.STOP


def test_known_prefix_is_not_computed_again(make_engine: MakeEngine) -> None:
    engine = make_engine()
    prompt = list(range(50))
    engine.submit(1, prompt, 4)
    engine.run()
    engine.submit(2, prompt, 4)
    engine.run()
    expect(engine.seen[2], prompt, 4)
    assert engine.seen[1].num_cached == 0
    assert engine.seen[2].num_cached == 48


def test_equal_prompts_at_once_are_computed_once(make_engine: MakeEngine) -> None:
    engine = make_engine()
    for stream_id in range(4):
        engine.submit(stream_id, list(range(100)), 4)
    engine.run()
    assert [engine.seen[i].num_cached for i in range(4)] == [0, 96, 96, 96]
    for stream_id in range(4):
        expect(engine.seen[stream_id], list(range(100)), 4)


def test_salts_do_not_share(make_engine: MakeEngine) -> None:
    engine = make_engine()
    for stream_id, salt in enumerate(["a", "b", "a"]):
        engine.submit(stream_id, list(range(40)), 2, cache_salt=salt)
        engine.run()
    assert [engine.seen[i].num_cached for i in range(3)] == [0, 0, 32]


def test_generated_pages_serve_the_next_turn(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, list(range(20)), 40, ignore_eos=True)
    engine.run()
    engine.submit(2, list(range(20)) + engine.seen[1].tokens, 2)
    engine.run()
    assert engine.seen[2].num_cached == 48


def test_preemption_loses_no_token(make_engine: MakeEngine) -> None:
    engine = make_engine(num_pages=12, max_model_len=128)
    prompts = {i: [i] * 20 for i in range(6)}
    for i, prompt in prompts.items():
        engine.submit(i, prompt, 60, ignore_eos=True)
    engine.run()
    assert engine.num_preemptions() > 0
    for i, prompt in prompts.items():
        assert engine.seen[i].tokens == fake_continuation(prompt, 60, ignore_eos=True)


def test_priority_goes_first(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=1)
    engine.submit(1, [1] * 5, 4, priority=5)
    engine.submit(2, [2] * 5, 4, priority=0)
    engine.turn()
    slot = int(engine.ledger.slots_in(SlotState.RUNNING)[0])
    assert engine.ledger.stream_id[slot] == 2
    engine.run()


def test_full_queue_is_refused_with_retry_after(make_engine: MakeEngine) -> None:
    engine = make_engine(max_waiting_tokens=100)
    for stream_id in range(3):
        engine.submit(stream_id, [1] * 60, 4)
    engine.turn()
    failed = engine.seen[1].failed
    assert failed is not None
    assert failed.code is ErrorCode.QUEUE_FULL
    assert failed.retry_after_s >= 1
    engine.run()
    assert engine.seen[0].failed is None


def test_bad_records_harm_nobody(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.router.incoming.append((FRONTEND, b"\x01nonsense"))
    engine.router.incoming.append((FRONTEND, b""))
    engine.submit(1, [], 4)
    engine.submit(2, [999], 4)
    engine.submit(3, [1, 2], 4)
    engine.submit(
        3, [1, 2], 4
    )  # the second use of an open id is refused ... and ends stream 3's first life for the client
    engine.submit(4, [1, 2], 4)
    engine.turn()
    assert {i for i in (1, 2, 3) if engine.seen[i].failed} == {1, 2, 3}
    engine.abort(3)
    engine.seen.pop(3)
    engine.run()
    expect(engine.seen[4], [1, 2], 4)


def test_seed_and_position_key_the_draws(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=2)
    for stream_id, seed in enumerate([1, 1, 2]):
        engine.submit(stream_id, [3, 4], 16, ignore_eos=True, sampling=SamplingParams(temperature=1.0, seed=seed))
    engine.run()
    assert engine.seen[0].tokens == engine.seen[1].tokens
    assert engine.seen[0].tokens != engine.seen[2].tokens
    assert engine.seen[0].tokens == fake_continuation([3, 4], 16, 1, 1.0, ignore_eos=True)


def test_scores_of_many_jobs(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=2)
    jobs = {i: [[(i * j + k) % 256 for k in range(3 + j)] for j in range(1, 3 + 9 * i)] for i in range(1, 5)}
    for i, pairs in jobs.items():
        engine.submit_score(i, pairs)
    engine.run()
    for i, pairs in jobs.items():
        assert engine.seen[i].scores == {j: fake_score(pair) for j, pair in enumerate(pairs)}


@pytest.mark.parametrize(("target_s", "streams", "tokens"), [(0.0, 0, 30), (9.0, 0, 120), (9.0, 1, 30)])
def test_score_steps_are_larger_while_nobody_waits_for_a_token(
    make_engine: MakeEngine, target_s: float, streams: int, tokens: int
) -> None:
    engine = make_engine(max_num_seqs=64, target_step_time=target_s, steps_in_flight=1)
    engine.state.pace = StepPace(target_s)
    engine.state.pace.saw(SCORE, 1000, 1.0)
    for number in range(streams):
        engine.submit(number, [1] * 5, 50, ignore_eos=True)
        engine.turn()
        engine.workers[0].work()
    engine.submit_score(9, [[1] * 10] * 50)
    flights = engine.workers[0].peer.flights
    while not (flights and isinstance(flights[-1], ScoreFlight)):
        engine.turn()
        if not isinstance(flights[-1], ScoreFlight):
            engine.workers[0].work()
    assert flights[-1].num_tokens == tokens
    engine.run()


def test_small_score_job_is_not_stuck_behind_a_large_one(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit_score(1, [[1] * 10] * 200)
    engine.submit_score(2, [[2] * 10])
    for _ in range(4):
        engine.turn()
        engine.workers[0].work()
    engine.turn()
    assert engine.seen[2].scores == {0: fake_score([2] * 10)}
    assert len(engine.seen[1].scores) < 200
    engine.run()


def test_slow_frontend_loses_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, [1, 2, 3], 10, ignore_eos=True)
    engine.router.full.add(FRONTEND)
    for _ in range(20):
        engine.turn()
        engine.workers[0].work()
    assert 1 not in engine.seen
    engine.router.full.clear()
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([1, 2, 3], 10, ignore_eos=True)


Event = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 70), st.integers(1, 40)),
    st.tuples(st.just("abort"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("work"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("score"), st.integers(1, 12), st.integers(1, 60)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(Event, max_size=60), st.booleans(), st.sampled_from([0, 3]))
def test_any_order_of_events_keeps_every_stream_whole(
    events: list[tuple[str, int, int]], caching: bool, prompt_steps: int
) -> None:
    """Submit, abort, work and kill in any order: no token is lost, doubled or swapped, every page comes back."""
    engine = Engine(
        num_pages=24, num_workers=2, max_model_len=128, enable_prefix_caching=caching, prompt_steps=prompt_steps
    )
    prompts: dict[int, tuple[list[int], int]] = {}
    jobs: dict[int, list[list[int]]] = {}
    aborted: set[int] = set()
    try:
        for number, (kind, a, b) in enumerate(events):
            if kind == "submit":
                prompts[number] = ([(a * 31 + i // 16) % 256 for i in range(a)], b)
                engine.submit(number, *prompts[number])
            elif kind == "score":
                jobs[number] = [[(b + i) % 256] * (b % 37 + 1) for i in range(a)]
                engine.submit_score(number, jobs[number])
            elif kind == "abort":
                aborted.add(a)
                engine.abort(a)
            elif kind == "work":
                engine.workers[a].work()
            else:
                engine.kill_worker(a)
                engine.add_worker(a)
            engine.turn()
        engine.run()
        _check_all(engine, prompts, jobs, aborted)
    finally:
        engine.close()


def _check_all(
    engine: Engine, prompts: dict[int, tuple[list[int], int]], jobs: dict[int, list[list[int]]], aborted: set[int]
) -> None:
    for number, (prompt, max_tokens) in prompts.items():
        seen = engine.seen.get(number, Seen())
        expected = fake_continuation(prompt, max_tokens)
        if number in aborted or seen.failed is not None:
            assert seen.failed is None or seen.failed.code is ErrorCode.WORKER_CRASH_LOOP
            assert seen.tokens == expected[: len(seen.tokens)]
        else:
            assert seen.tokens == expected
            assert seen.num_final == 1
    for number, pairs in jobs.items():
        seen = engine.seen.get(number, Seen())
        if number not in aborted and seen.failed is None:
            assert seen.scores == {i: fake_score(pair) for i, pair in enumerate(pairs)}
    pool = engine.ledger.pages.caches[0].pool
    assert pool.num_used == 0


def test_a_worker_that_dies_costs_no_prefill(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=1)
    engine.submit(1, [7] * 60, 30, ignore_eos=True)
    for _ in range(6):
        engine.turn()
        engine.workers[0].work()
    engine.turn()
    computed = int(engine.ledger.num_computed.max())
    engine.kill_worker(0)
    assert engine.ledger.num_planned.max() == engine.ledger.num_computed.max() == computed
    engine.add_worker(0)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([7] * 60, 30, ignore_eos=True)


def test_third_death_fails_the_request_aboard(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, [1, 2, 3], 30)
    engine.turn()
    for _ in range(3):
        engine.kill_worker(0)
        engine.add_worker(0)
        engine.turn()
    failed = engine.seen[1].failed
    assert failed is not None
    assert failed.code is ErrorCode.WORKER_CRASH_LOOP


def test_failed_step_ends_its_streams_only(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=1)
    engine.submit(1, [1, 2, 3], 30)
    engine.submit(2, [4, 5, 6], 10)
    engine.turn()
    ticket = engine.workers[0].link.poll()
    assert ticket is not None
    engine.workers[0].link.failed(ticket, "boom")
    engine.run()
    failed = engine.seen[1].failed
    assert failed is not None
    assert failed.code is ErrorCode.STEP_FAILED
    assert "boom" not in failed.message
    expect(engine.seen[2], [4, 5, 6], 10)


@pytest.mark.parametrize("added", [1, 3])
def test_new_workers_take_over_streams(make_engine: MakeEngine, added: int) -> None:
    engine = make_engine(num_workers=1, num_pages=128)
    for i in range(8):
        engine.submit(i, [i + 1] * 10, 60, ignore_eos=True)
    for _ in range(4):
        engine.turn()
        engine.workers[0].work()
    for worker_id in range(1, 1 + added):
        engine.add_worker(worker_id)
    for _ in range(6):
        engine.turn()
        for worker in engine.workers.values():
            worker.work()
    counts = [len(engine.ledger.running_on(w)) for w in engine.workers]
    assert min(counts) >= 8 // (1 + added) - 1
    engine.run()
    for i in range(8):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 10, 60, ignore_eos=True)
