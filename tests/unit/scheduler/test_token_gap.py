"""Prompts have steps to themselves while those who decode can wait for their next tokens: with a clock of our own."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.messages import FinishReason
from ipc.token_rules import TokenRules, encode_rules
from scheduler.step_pace import FEWEST_TOKENS, StepPace
from tests.support.engine_in_process import GENERATE, Engine
from tests.support.plan_log import PlanLog, PlannedRow
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]
TARGET_S = 0.5
GAP_S = 1.0
TOKEN_S = 0.0025  # what a token costs: 192 of them, in whole tiles, fit a step


class Clock:
    """Stands for time.monotonic. Later than the true time, which steps take for that of their planning at first."""

    def __init__(self) -> None:
        self.now = time.monotonic() + 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr("time.monotonic", clock)
        yield clock


class Run:
    """An engine whose one worker takes TOKEN_S for each token of a step; when each stream got its tokens."""

    def __init__(self, engine: Engine, clock: Clock, token_s: float = TOKEN_S) -> None:
        self.engine, self.clock = engine, clock
        self.token_s = token_s
        engine.state.pace = StepPace(TARGET_S)
        engine.state.pace.saw(GENERATE, 1000, 1000 * token_s)
        self.log = PlanLog(engine)
        self.times: dict[int, list[float]] = {}
        self._planned_at: dict[int, float] = {}

    def step(self) -> None:
        """The scheduler's turn, and the worker does a step."""
        self.engine.turn()
        worker = self.engine.workers[0]
        for flight in worker.peer.flights:
            flight.planned_at = self._planned_at.setdefault(flight.ticket.step_id, self.clock.now)
        for stream_id, seen in self.engine.seen.items():
            times = self.times.setdefault(stream_id, [])
            times += [self.clock.now] * (len(seen.tokens) - len(times))
        if worker.peer.flights:
            self.clock.now += self.token_s * worker.peer.flights[0].num_tokens
            worker.work()

    def decode(self, num_streams: int, num_steps: int = 8) -> None:
        """So many streams decode from now on."""
        for number in range(num_streams):
            self.engine.submit(number, [number, 9], 400, ignore_eos=True)
        for _ in range(num_steps):
            self.step()
        self.log.steps.clear()

    def to_the_end(self, *stream_ids: int) -> None:
        for _ in range(3000):
            if all(number in self.engine.seen and self.engine.seen[number].num_final for number in stream_ids):
                return
            self.step()
        raise TimeoutError("streams are still open")

    def largest_gap(self, stream_id: int) -> float:
        times = self.times[stream_id]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    def end(self) -> None:
        self.engine.abort(*range(1000))
        self.engine.run()


def large(make_engine: MakeEngine, **options: object) -> Engine:
    defaults: dict[str, object] = {
        "num_pages": 400,
        "max_model_len": 1024,
        "max_num_seqs": 64,
        "max_num_batched_tokens": 512,
        "max_token_gap": GAP_S,
    }
    return make_engine(**defaults | options)


def decodes(step: list[PlannedRow]) -> bool:
    return any(not row.is_prompt for row in step)


def prefills(step: list[PlannedRow]) -> bool:
    return any(row.is_prompt for row in step)


def test_prompts_have_steps_to_themselves_until_the_gap_is_over(make_engine: MakeEngine, clock: Clock) -> None:
    run = Run(large(make_engine), clock)
    run.decode(4)
    for number in range(100, 108):
        run.engine.submit(number, [number] * 192, 1)
    run.to_the_end(*range(100, 108))
    busy = run.log.steps[:8]
    assert [decodes(step) for step in busy] == [False, False, True, False, False, True, False, False]
    assert [sum(row.num_new for row in step) for step in busy] == [192] * 8  # what a step's time allows, in any case
    run.to_the_end(*range(4))
    for number in range(4):
        assert GAP_S < run.largest_gap(number) <= GAP_S + TARGET_S
        assert run.engine.seen[number].tokens == fake_continuation([number, 9], 400, ignore_eos=True)
    run.end()


def test_whoever_has_its_first_token_waits_with_the_others(make_engine: MakeEngine, clock: Clock) -> None:
    """On an idle server: the first prompt that is through does not slow the burst down for those behind it."""
    run = Run(large(make_engine), clock)
    for number in range(12):
        run.engine.submit(number, [number] * 96, 20, ignore_eos=True)
    run.to_the_end(*range(12))
    first = next(place for place, step in enumerate(run.log.steps) if decodes(step))
    assert first == 3
    assert all(run.largest_gap(number) <= GAP_S + TARGET_S for number in range(12))
    run.end()


@pytest.mark.parametrize(("gap_s", "token_s"), [(0.0, TOKEN_S), (0.4, TOKEN_S), (GAP_S, GAP_S / FEWEST_TOKENS * 1.1)])
def test_without_a_gap_or_with_steps_that_fill_it_every_step_brings_tokens(
    make_engine: MakeEngine, clock: Clock, gap_s: float, token_s: float
) -> None:
    run = Run(large(make_engine, max_token_gap=gap_s), clock, token_s)
    run.decode(4)
    for number in range(100, 104):
        run.engine.submit(number, [number] * 192, 1)
    run.to_the_end(*range(100, 104))
    assert all(decodes(step) for step in run.log.steps)
    run.end()


def test_without_a_free_slot_decoding_goes_on(make_engine: MakeEngine, clock: Clock) -> None:
    run = Run(large(make_engine, max_num_seqs=4), clock)
    run.decode(4)
    for number in range(100, 104):
        run.engine.submit(number, [number] * 192, 1)
    for _ in range(40):
        run.step()
    assert [len(step) for step in run.log.steps] == [4] * 40
    assert all(decodes(step) for step in run.log.steps)
    run.to_the_end(*range(100, 104))
    run.end()


def test_without_free_pages_decoding_goes_on(make_engine: MakeEngine, clock: Clock) -> None:
    run = Run(large(make_engine, num_pages=40), clock)
    run.decode(4)
    run.engine.submit(100, [1] * 600, 1)
    for _ in range(40):
        run.step()
    assert [len(step) for step in run.log.steps] == [4] * 40
    assert all(decodes(step) for step in run.log.steps)
    run.end()


def test_a_prompt_that_must_not_wait_for_a_whole_step_is_no_row_that_decodes(
    make_engine: MakeEngine, clock: Clock
) -> None:
    """All but one token of it were cached, or fitted the step before."""
    run = Run(large(make_engine), clock)
    run.decode(4)
    run.engine.submit(100, [3] * 193, 1)
    run.engine.submit(101, [4] * 300, 1)
    run.to_the_end(100, 101)
    assert not any(prefills(step) and decodes(step) for step in run.log.steps[:2])
    assert PlannedRow(100, 192, 1, is_prompt=True) in run.log.steps[1]
    run.end()


def test_steps_on_a_slow_machine_are_no_longer_for_it(make_engine: MakeEngine, clock: Clock) -> None:
    """Prompts alone get twice the fewest tokens where nobody decodes; here somebody waits."""
    run = Run(large(make_engine), clock, token_s=0.006)
    run.decode(2)
    run.engine.submit(100, [3] * 600, 1)
    run.to_the_end(100)
    alone = [step for step in run.log.steps if not decodes(step)]
    assert alone
    assert max(row.num_new for step in alone for row in step) == FEWEST_TOKENS
    run.end()


def test_prompts_with_rules_get_through(make_engine: MakeEngine, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.step_budget.MAX_HISTORY_TOKENS", 300)
    monkeypatch.setattr("scheduler.step_budget.StepBudget.__init__.__defaults__", (1 << 30, 300))
    run = Run(large(make_engine), clock)
    rules = encode_rules(TokenRules(min_tokens=1))
    for number in (1, 2, 3):
        run.engine.submit(number, [number] * 90, 300, ignore_eos=True, rules=rules)
    for _ in range(40):
        run.step()
    run.engine.submit(100, [3] * 500, 5, ignore_eos=True, rules=rules)
    run.engine.submit(101, [4] * 500, 5, ignore_eos=True, rules=rules)
    run.to_the_end(100, 101)
    run.to_the_end(1, 2, 3)
    for number in (1, 2, 3):
        assert run.engine.seen[number].tokens == fake_continuation([number] * 90, 300, ignore_eos=True)
    run.end()


def test_steps_that_take_no_time_do_not_keep_tokens_back_for_ever(make_engine: MakeEngine, clock: Clock) -> None:
    """Pages run short: who decodes is preempted, and comes back as a prompt to compute."""
    run = Run(large(make_engine, num_pages=30, max_num_seqs=8), clock, token_s=1e-9)
    for number in range(12):
        run.engine.submit(number, [number] * 60, 60, ignore_eos=True)
    run.to_the_end(*range(12))
    assert run.engine.num_preemptions() > 0
    for number in range(12):
        assert run.engine.seen[number].tokens == fake_continuation([number] * 60, 60, ignore_eos=True)


def test_two_workers_keep_their_own_gaps(make_engine: MakeEngine, clock: Clock) -> None:
    """A worker that has its share of streams takes no more: it decodes on while prompts wait for the other one."""
    engine = large(make_engine, num_workers=2)
    engine.state.pace = StepPace(TARGET_S)
    engine.state.pace.saw(GENERATE, 1000, 1000 * TOKEN_S)
    for number in range(10):
        engine.submit(number, [number] * 150, 30, ignore_eos=True)
    for _ in range(400):
        engine.turn()
        clock.now += TOKEN_S * 100
        for worker in engine.workers.values():
            worker.work()
    for number in range(10):
        assert engine.seen[number].finish is FinishReason.LENGTH
        assert engine.seen[number].tokens == fake_continuation([number] * 150, 30, ignore_eos=True)


Arrival = st.tuples(st.integers(1, 300), st.integers(2, 12), st.integers(0, 4))  # length, output, steps until the next


@settings(max_examples=40, deadline=None)
@given(st.lists(Arrival, min_size=1, max_size=20), st.sampled_from([0.0005, TOKEN_S, 0.004, 0.01]))
def test_nobody_waits_longer_than_the_gap_and_a_step(arrivals: list[tuple[int, int, int]], token_s: float) -> None:
    clock = Clock()
    engine = Engine(num_pages=600, max_model_len=512, max_num_seqs=32, max_num_batched_tokens=512, max_token_gap=GAP_S)
    with contextlib.closing(engine), pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.monotonic", clock)
        run = Run(engine, clock, token_s)
        for number, (length, max_tokens, num_steps) in enumerate(arrivals):
            engine.submit(number, [number, *[5] * (length - 1)], max_tokens, ignore_eos=True)
            for _ in range(num_steps):
                run.step()
        run.to_the_end(*range(len(arrivals)))
        longest_step = token_s * max(sum(row.num_new for row in step) for step in run.log.steps)
        for number, (length, max_tokens, _) in enumerate(arrivals):
            expected = fake_continuation([number, *[5] * (length - 1)], max_tokens, ignore_eos=True)
            assert engine.seen[number].tokens == expected
            assert run.largest_gap(number) <= max(GAP_S, longest_step) + longest_step + 0.001


@settings(max_examples=40, deadline=None)
@given(st.lists(Arrival, min_size=1, max_size=20), st.integers(20, 40), st.sampled_from([1e-9, TOKEN_S]))
def test_with_few_pages_everything_ends(arrivals: list[tuple[int, int, int]], num_pages: int, token_s: float) -> None:
    clock = Clock()
    engine = Engine(
        num_pages=num_pages, max_model_len=320, max_num_seqs=6, max_num_batched_tokens=64, max_token_gap=GAP_S
    )
    with contextlib.closing(engine), pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.monotonic", clock)
        run = Run(engine, clock, token_s)
        for number, (length, max_tokens, num_steps) in enumerate(arrivals):
            tenant, rest = "ab"[number % 2], [5] * (length - 1)
            engine.submit(number, [number, *rest], max_tokens, ignore_eos=True, tenant=tenant, priority=length % 2)
            for _ in range(num_steps):
                run.step()
        run.to_the_end(*range(len(arrivals)))
        for number, (length, max_tokens, _) in enumerate(arrivals):
            expected = fake_continuation([number, *[5] * (length - 1)], max_tokens, ignore_eos=True)
            assert engine.seen[number].tokens == expected
