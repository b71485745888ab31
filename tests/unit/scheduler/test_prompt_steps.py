"""Prompts have a few steps to themselves, steps end where prompts do, and nobody who decodes waits for longer."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.token_rules import TokenRules, encode_rules
from scheduler.step_pace import StepPace
from tests.support.engine_in_process import GENERATE, Engine
from tests.support.plan_log import PlanLog, PlannedRow
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]
STEPS = 3


class Run:
    """An engine with one worker, whose steps of 192 tokens take as long as they should."""

    def __init__(self, engine: Engine, tokens: int = 192) -> None:
        self.engine = engine
        engine.state.pace = StepPace(0.5)
        engine.state.pace.saw(GENERATE, tokens, 0.5)
        self.log = PlanLog(engine)

    def step(self) -> None:
        """The scheduler's turn, and the worker does a step; how long it takes is not looked at."""
        self.engine.turn()
        worker = self.engine.workers[0]
        for flight in worker.peer.flights:
            flight.num_tokens = 0
        if worker.peer.flights:
            worker.work()

    def decode(self, num_streams: int) -> None:
        """So many streams decode from now on."""
        for number in range(num_streams):
            self.engine.submit(number, [number, 9], 400, ignore_eos=True)
        for _ in range(8):
            self.step()
        self.log.steps.clear()

    def to_the_end(self, *stream_ids: int) -> None:
        for _ in range(3000):
            if all(number in self.engine.seen and self.engine.seen[number].num_final for number in stream_ids):
                return
            self.step()
        raise TimeoutError("streams are still open")

    def end(self) -> None:
        self.engine.abort(*range(1000))
        self.engine.run()


def large(make_engine: MakeEngine, **options: object) -> Engine:
    defaults: dict[str, object] = {
        "num_pages": 400,
        "max_model_len": 1024,
        "max_num_seqs": 64,
        "max_num_batched_tokens": 512,
        "prompt_steps": STEPS,
    }
    return make_engine(**defaults | options)


def decodes(step: list[PlannedRow]) -> bool:
    return any(not row.is_prompt for row in step)


def longest_wait_of_streams(steps: list[list[PlannedRow]]) -> int:
    """The most steps in a row that bring a stream nothing between two that bring it a token of its output."""
    longest = 0
    last: dict[int, int] = {}
    for place, step in enumerate(steps):
        for row in step:
            if not row.is_prompt:
                longest = max(longest, place - last.get(row.stream_id, place - 1) - 1)
                last[row.stream_id] = place
    return longest


def test_prompts_have_steps_to_themselves(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine))
    run.decode(4)
    for number in range(100, 108):
        run.engine.submit(number, [number] * 192, 1)
    run.to_the_end(*range(100, 108))
    busy = run.log.steps[:8]
    assert [decodes(step) for step in busy] == [False] * 3 + [True] + [False] * 3 + [True]
    assert [sum(row.num_new for row in step) for step in busy[:3]] == [192] * 3
    run.to_the_end(*range(4))
    for number in range(4):
        assert run.engine.seen[number].tokens == fake_continuation([number, 9], 400, ignore_eos=True)
    run.end()


def test_whoever_has_its_first_token_waits_with_the_others(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine))
    for number in range(12):
        run.engine.submit(number, [number] * 192, 20, ignore_eos=True)
    run.to_the_end(*range(12))
    assert next(place for place, step in enumerate(run.log.steps) if decodes(step)) >= STEPS
    run.end()


@pytest.mark.parametrize(
    ("options", "num_prompts", "length"),
    [
        ({"prompt_steps": 0}, 4, 192),
        ({"max_num_batched_tokens": 64}, 4, 192),  # whoever wants small steps wants tokens evenly
        ({}, 3, 30),  # alone they would cost a whole pass over the weights
    ],
    ids=["none asked for", "small steps", "short prompts"],
)
def test_every_step_brings_tokens(
    make_engine: MakeEngine, options: dict[str, object], num_prompts: int, length: int
) -> None:
    run = Run(large(make_engine, **options))
    run.decode(4)
    prompts = range(100, 100 + num_prompts)
    for number in prompts:
        run.engine.submit(number, [number] * length, 1)
    run.to_the_end(*prompts)
    assert all(decodes(step) for step in run.log.steps)
    run.end()


def test_a_step_ends_where_a_prompt_does(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine))
    for number in range(4):
        run.engine.submit(number, [number] * 160, 1)
    run.to_the_end(*range(4))
    assert [[row.num_new for row in step] for step in run.log.steps] == [[160]] * 4
    run.end()


def test_prompts_that_are_through_share_a_step(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine))
    for number, length in enumerate([100, 60, 250, 40]):
        run.engine.submit(number, [number] * length, 1)
    run.to_the_end(*range(4))
    assert [[row.num_new for row in step] for step in run.log.steps] == [[40, 60, 100], [250]]
    run.end()


def test_where_steps_have_a_fixed_size_they_are_filled(make_engine: MakeEngine) -> None:
    engine = large(make_engine, max_num_batched_tokens=192)
    log = PlanLog(engine)
    for number in range(3):
        engine.submit(number, [number] * 128, 1)
    engine.run()
    assert [sum(row.num_new for row in step) for step in log.steps] == [192, 192]


def test_without_a_free_slot_decoding_goes_on(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine, max_num_seqs=4))
    run.decode(4)
    for number in range(100, 104):
        run.engine.submit(number, [number] * 192, 1)
    for _ in range(40):
        run.step()
    assert [len(step) for step in run.log.steps] == [4] * 40
    assert all(decodes(step) for step in run.log.steps)
    run.to_the_end(*range(100, 104))
    run.end()


def test_without_free_pages_decoding_goes_on(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine, num_pages=40))
    run.decode(4)
    run.engine.submit(100, [1] * 600, 1)
    for _ in range(40):
        run.step()
    assert all(decodes(step) for step in run.log.steps)
    run.end()


def test_a_prompt_of_which_one_token_is_left_is_no_stream_that_decodes(make_engine: MakeEngine) -> None:
    run = Run(large(make_engine))
    run.decode(4)
    run.engine.submit(100, [3] * 193, 1)
    run.engine.submit(101, [4] * 300, 1)
    run.to_the_end(100, 101)
    assert not any(decodes(step) for step in run.log.steps[:2])
    assert PlannedRow(100, 192, 1, is_prompt=True) in run.log.steps[1]
    run.end()


def test_prompts_with_rules_get_through(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.step_budget.MAX_HISTORY_TOKENS", 300)
    monkeypatch.setattr("scheduler.step_budget.StepBudget.__init__.__defaults__", (1 << 30, False, 300))
    run = Run(large(make_engine))
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


Arrival = st.tuples(st.integers(1, 300), st.integers(2, 12), st.integers(0, 4))  # length, output, steps until the next


def play(run: Run, arrivals: list[tuple[int, int, int]], tenants: str, num_priorities: int) -> None:
    """Each arrival is a request; they are all answered as if each had been alone."""
    prompts = [[number, *[5] * (length - 1)] for number, (length, _, _) in enumerate(arrivals)]
    for number, (length, max_tokens, num_steps) in enumerate(arrivals):
        tenant, priority = tenants[number % len(tenants)], length % num_priorities
        run.engine.submit(number, prompts[number], max_tokens, ignore_eos=True, tenant=tenant, priority=priority)
        for _ in range(num_steps):
            run.step()
    run.to_the_end(*range(len(arrivals)))
    for number, (_, max_tokens, _) in enumerate(arrivals):
        assert run.engine.seen[number].tokens == fake_continuation(prompts[number], max_tokens, ignore_eos=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(Arrival, min_size=1, max_size=20))
def test_nobody_who_decodes_waits_for_more_steps(arrivals: list[tuple[int, int, int]]) -> None:
    engine = Engine(num_pages=600, max_model_len=320, max_num_seqs=32, max_num_batched_tokens=512, prompt_steps=STEPS)
    with contextlib.closing(engine):
        run = Run(engine)
        play(run, arrivals, tenants="a", num_priorities=1)
        assert longest_wait_of_streams(run.log.steps) <= STEPS


@settings(max_examples=40, deadline=None)
@given(st.lists(Arrival, min_size=1, max_size=20), st.integers(20, 40))
def test_with_few_pages_everything_ends(arrivals: list[tuple[int, int, int]], num_pages: int) -> None:
    """Streams give way to others and are computed again, also those of another tenant."""
    engine = Engine(
        num_pages=num_pages, max_model_len=320, max_num_seqs=6, max_num_batched_tokens=512, prompt_steps=STEPS
    )
    with contextlib.closing(engine):
        play(Run(engine), arrivals, tenants="ab", num_priorities=2)
