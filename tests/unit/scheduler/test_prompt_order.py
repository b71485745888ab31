"""Prompts are computed in the order in which they are due: short ones first, and nobody waits for ever."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.prompt_clock import AT_ONCE, STRETCH
from scheduler.stream import SlotState
from tests.support.engine_in_process import FRONTEND, Engine
from tests.support.plan_log import PlanLog
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]


def prompt(number: int, length: int) -> list[int]:
    """No two of them share a page."""
    return [number % 256, number // 256, *[7] * (length - 2)] if length > 1 else [number % 256]


def step(engine: Engine) -> None:
    engine.turn()
    engine.workers[0].work()


def test_of_those_that_come_together_the_shortest_goes_first(make_engine: MakeEngine) -> None:
    engine = make_engine()
    log = PlanLog(engine)
    for number, length in enumerate([60, 5, 40, 16]):
        engine.submit(number, prompt(number, length), 2)
    engine.run()
    assert log.prompt_order() == [1, 3, 2, 0]


def test_of_equally_long_ones_the_first_goes_first(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=2)
    log = PlanLog(engine)
    for number in (3, 1, 2, 0):
        engine.submit(number, prompt(number, 20), 2)
    engine.run()
    assert log.prompt_order() == [3, 1, 2, 0]


def test_by_arrival_a_long_one_keeps_its_place(make_engine: MakeEngine) -> None:
    engine = make_engine(prompt_order="arrival", steps_in_flight=1)
    log = PlanLog(engine)
    for number, length in enumerate([60, 5, 40]):
        engine.submit(number, prompt(number, length), 2)
    step(engine)
    engine.submit(3, prompt(3, 4), 2)
    engine.run()
    assert log.prompt_order() == [0, 1, 2, 3]


def test_a_long_chat_whose_beginning_is_cached_counts_as_short(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, prompt(1, 160), 2)
    engine.run()
    log = PlanLog(engine)
    engine.submit(2, prompt(2, 40), 2)
    engine.submit(3, [*prompt(1, 160), *[8] * 10], 2)
    engine.submit(4, [*prompt(1, 160), *[8] * 10], 2, num_prompt_logprobs=0)  # every position is computed
    engine.run()
    assert log.prompt_order() == [3, 2, 4]
    assert engine.seen[3].num_cached == 160


def test_a_newcomer_passes_a_long_prompt_that_runs(make_engine: MakeEngine) -> None:
    engine = make_engine(steps_in_flight=1)
    log = PlanLog(engine)
    engine.submit(1, prompt(1, 200), 2)
    step(engine)
    engine.submit(2, prompt(2, 8), 2)
    engine.turn()
    assert log.chunks() == [(1, 32), (2, 8), (1, 24)]
    assert engine.ledger.num_computed[engine.ledger.slots_in(SlotState.RUNNING)].max() == 32
    engine.run()
    assert engine.num_preemptions() == 0
    assert engine.seen[1].tokens == fake_continuation(prompt(1, 200), 2)


def test_no_more_are_admitted_than_get_a_chunk(make_engine: MakeEngine) -> None:
    engine = make_engine(steps_in_flight=1)
    engine.submit(1, prompt(1, 200), 2)
    step(engine)
    for number in range(2, 6):
        engine.submit(number, prompt(number, 16), 2)
    engine.turn()
    assert engine.ledger.num_running == 3
    engine.run()


def test_without_a_free_slot_the_long_prompt_goes_on(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=1)
    log = PlanLog(engine)
    engine.submit(1, prompt(1, 200), 2)
    step(engine)
    engine.submit(2, prompt(2, 8), 2)
    engine.run()
    assert log.prompt_order() == [1, 2]


def test_without_free_pages_the_long_prompt_goes_on(make_engine: MakeEngine) -> None:
    engine = make_engine(num_pages=14, steps_in_flight=1)
    log = PlanLog(engine)
    engine.submit(1, prompt(1, 200), 2)  # 13 pages
    step(engine)
    engine.submit(2, prompt(2, 20), 2)
    engine.run()
    assert log.prompt_order() == [1, 2]
    assert engine.num_preemptions() == 0


def test_who_ran_already_goes_first(make_engine: MakeEngine) -> None:
    engine = make_engine(steps_in_flight=1)
    engine.submit(1, prompt(1, 100), 60, ignore_eos=True)
    for _ in range(6):
        step(engine)
    engine.loop.commit_reports(engine.workers[0].peer)
    engine.submit(2, prompt(2, 50), 2)
    engine.submit(3, prompt(3, 4), 2)
    engine.ledger.preempt(0)
    log = PlanLog(engine)
    engine.run()
    assert log.steps[0][0].stream_id == 1
    assert engine.seen[1].tokens == fake_continuation(prompt(1, 100), 60, ignore_eos=True)


def test_who_ran_under_a_scheduler_that_died_goes_first(make_engine: MakeEngine) -> None:
    """It comes with its output, which somebody was reading; that it has all of it to compute is not its fault."""
    engine = make_engine()
    log = PlanLog(engine)
    engine.submit(1, prompt(1, 4), 2)
    engine.submit(2, prompt(2, 100), 9, num_output=3, resumes=True)
    engine.submit(3, prompt(3, 50), 2, resumes=True)  # it had no token yet
    engine.turn()
    assert log.prompt_order()[0] == 2
    assert engine.ledger.by_key[(FRONTEND, 2)].due == AT_ONCE  # type: ignore[index]
    engine.abort(2)
    engine.run()
    assert log.prompt_order() == [2, 1, 3]


def test_a_better_priority_passes_and_a_worse_one_does_not(make_engine: MakeEngine) -> None:
    engine = make_engine(steps_in_flight=1)
    log = PlanLog(engine)
    engine.submit(1, prompt(1, 100), 2, priority=1)
    step(engine)
    engine.submit(2, prompt(2, 4), 2, priority=2)
    engine.submit(3, prompt(3, 40), 2, priority=0)
    engine.run()
    assert [stream_id for stream_id, _ in log.chunks()] == [1, 3, 3, 1, 1, 1, 2]


@pytest.mark.parametrize(("length", "passes"), [(8, True), (195, False)])
def test_a_poorer_tenant_passes_with_a_short_prompt_only(make_engine: MakeEngine, length: int, passes: bool) -> None:
    """With long ones each would break into the other's, and all would lie there half done."""
    engine = make_engine(steps_in_flight=1)
    log = PlanLog(engine)
    engine.submit(1, prompt(1, 200), 2, tenant="a")
    engine.submit(9, prompt(9, 2), 200, tenant="b", ignore_eos=True)
    for _ in range(2):
        step(engine)
    engine.ledger.shares.paid[engine.ledger.shares.index_of("a")] = 100
    engine.ledger.shares.paid[engine.ledger.shares.index_of("b")] = 0
    engine.submit(2, prompt(2, length), 2, tenant="b")
    while not any(stream_id == 2 for stream_id, _ in log.chunks()):
        step(engine)
    done = sum(num_new for stream_id, num_new in log.chunks() if stream_id == 1)
    assert (done < 200) == passes
    engine.abort(9)
    engine.run()


def test_a_stream_of_short_ones_starves_no_long_one(make_engine: MakeEngine) -> None:
    """Work comes as fast as it is done: the long prompt waits for STRETCH times its own length, and little more."""
    engine = make_engine(steps_in_flight=1, max_num_batched_tokens=32, max_num_seqs=64, num_pages=256)
    log = PlanLog(engine)
    engine.submit(0, prompt(0, 100), 1)
    number = 0
    while 0 not in engine.seen:
        for _ in range(4):  # 32 tokens a step
            number += 1
            engine.submit(number, prompt(number, 8), 1)
        step(engine)
    before = log.chunks()[: [stream_id for stream_id, _ in log.chunks()].index(0)]
    assert STRETCH * 100 - 64 <= sum(num_new for _, num_new in before) <= STRETCH * 100 + 64
    engine.run()


def _assert_bound(log: PlanLog, opened: dict[int, int], lengths: dict[int, int]) -> None:
    """Whoever gets a chunk was opened less than STRETCH times the length after each other that is not through yet."""
    planned = dict.fromkeys(lengths, 0)
    for stream_id, num_new in log.chunks():
        for other, since in opened.items():
            if opened[stream_id] >= since + STRETCH * lengths[other]:
                assert planned[other] == lengths[other], (stream_id, other)
        planned[stream_id] += num_new


Arriving = st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(0, 1))
Arrival = st.tuples(st.integers(1, 120), st.integers(1, 12), st.integers(0, 3))  # length, output, steps until the next


@settings(max_examples=80, deadline=None)
@given(st.lists(Arriving, min_size=1, max_size=60), st.integers(1, 8), st.integers(1, 2))
def test_nobody_is_passed_beyond_the_bound(arrivals: list[tuple[int, int, int]], slots: int, in_flight: int) -> None:
    """Prompts come about as fast as they are computed."""
    engine = Engine(num_pages=256, max_num_seqs=slots, steps_in_flight=in_flight, max_num_batched_tokens=16)
    log = PlanLog(engine)
    opened: dict[int, int] = {}
    try:
        for number, (length, max_tokens, num_steps) in enumerate(arrivals):
            opened[number] = engine.ledger.clock.now
            engine.submit(number, prompt(number, length), max_tokens, ignore_eos=True)
            for _ in range(num_steps):
                step(engine)
        engine.run()
        _assert_bound(log, opened, {number: length for number, (length, _, _) in enumerate(arrivals)})
        for number, (length, max_tokens, _) in enumerate(arrivals):
            expected = fake_continuation(prompt(number, length), max_tokens, ignore_eos=True)
            assert engine.seen[number].tokens == expected
    finally:
        engine.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(Arrival, min_size=1, max_size=25), st.integers(9, 20))
def test_with_few_pages_everything_ends_all_the_same(arrivals: list[tuple[int, int, int]], num_pages: int) -> None:
    engine = Engine(num_pages=num_pages, max_num_seqs=6, max_model_len=136)
    try:
        for number, (length, max_tokens, num_steps) in enumerate(arrivals):
            tenant = "ab"[number % 2]
            engine.submit(
                number, prompt(number, length), max_tokens, ignore_eos=True, tenant=tenant, priority=length % 2
            )
            for _ in range(num_steps):
                step(engine)
        engine.run()
        for number, (length, max_tokens, _) in enumerate(arrivals):
            expected = fake_continuation(prompt(number, length), max_tokens, ignore_eos=True)
            assert engine.seen[number].tokens == expected
    finally:
        engine.close()
