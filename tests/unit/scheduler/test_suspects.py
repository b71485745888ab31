"""A request that kills workers, or makes the model raise, fails alone; all others aboard finish exactly."""

from collections.abc import Callable

import pytest

from ipc.errors import ErrorCode
from ipc.step_layout import StepColumns
from scheduler.worker_peer import ScoreFlight
from tests.support.engine_in_process import GENERATE, SCORE, Engine, Runs
from workers.fake_model import fake_continuation, fake_score

MakeEngine = Callable[..., Engine]
POISON = 255  # a token only the bad request has


class Died(Exception):
    """The worker is killed by what it computes."""


class Poisoned:
    """Runs a model unless a step holds the poison."""

    def __init__(self, model: Runs, error: type[Exception]) -> None:
        self._model, self._error = model, error

    def run(self, columns: StepColumns) -> None:
        if POISON in columns.token_ids:
            raise self._error("poisoned")
        self._model.run(columns)


def poison(engine: Engine, error: type[Exception]) -> None:
    for worker in engine.workers.values():
        for model in (GENERATE, SCORE):
            if not isinstance(worker.models[model], Poisoned):
                worker.models[model] = Poisoned(worker.models[model], error)


def run_with_deaths(engine: Engine, max_turns: int = 3000) -> int:
    """Until nothing is open; a worker whose model says so dies and is replaced. Returns the number of deaths."""
    num_deaths = 0
    for _ in range(max_turns):
        engine.turn()
        for worker_id in list(engine.workers):
            try:
                engine.workers[worker_id].work()
            except Died:
                num_deaths += 1
                engine.kill_worker(worker_id)
                engine.add_worker(worker_id)
                poison(engine, Died)
        if engine.is_idle and not engine.router.incoming:
            return num_deaths
    raise TimeoutError("streams are still open")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_poison_among_31_others_fails_alone(make_engine: MakeEngine, num_workers: int) -> None:
    engine = make_engine(num_workers=num_workers, num_pages=256, max_num_seqs=32, max_num_batched_tokens=256)
    poison(engine, Died)
    for i in range(31):
        engine.submit(i, [i + 1] * (5 + i), 20, ignore_eos=True)
    engine.submit(31, [1, 2, POISON], 20, ignore_eos=True)
    assert run_with_deaths(engine) == 3
    failed = engine.seen[31].failed
    assert failed is not None
    assert failed.code is ErrorCode.WORKER_CRASH_LOOP
    for i in range(31):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * (5 + i), 20, ignore_eos=True)


def test_poison_in_a_long_prompt_and_a_full_server(make_engine: MakeEngine) -> None:
    """The others run already when it arrives, and its poison is in its third chunk."""
    engine = make_engine(num_pages=256, max_num_seqs=16)
    poison(engine, Died)
    for i in range(10):
        engine.submit(i, [i + 1] * 20, 60, ignore_eos=True)
    for _ in range(10):
        engine.turn()
        engine.workers[0].work()
    engine.submit(10, [3] * 80 + [POISON] + [3] * 20, 20, ignore_eos=True)
    assert run_with_deaths(engine) == 3
    assert engine.seen[10].failed is not None
    for i in range(10):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 20, 60, ignore_eos=True)


def test_an_exception_fails_the_request_that_raises_it(make_engine: MakeEngine) -> None:
    engine = make_engine(num_pages=256, max_num_seqs=32, max_num_batched_tokens=256)
    poison(engine, ValueError)
    for i in range(15):
        engine.submit(i, [i + 1] * (5 + i), 20, ignore_eos=True)
    engine.submit(15, [1, POISON], 20)
    engine.run()
    failed = engine.seen[15].failed
    assert failed is not None
    assert failed.code is ErrorCode.STEP_FAILED
    for i in range(15):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * (5 + i), 20, ignore_eos=True)


@pytest.mark.parametrize("error", [Died, ValueError])
def test_a_poisoned_pair_fails_its_job_only(make_engine: MakeEngine, error: type[Exception]) -> None:
    engine = make_engine(max_num_batched_tokens=64)
    poison(engine, error)
    good = [[i % 200, i % 7] * 3 for i in range(40)]
    engine.submit_score(1, good)
    engine.submit_score(2, [[1, 2], [3, POISON], [4, 5]])
    engine.submit_score(3, good)
    engine.submit(4, [1, 2, 3], 30, ignore_eos=True)
    assert run_with_deaths(engine) == (3 if error is Died else 0)
    assert engine.seen[2].failed is not None
    for number in (1, 3):
        assert engine.seen[number].scores == {i: fake_score(pair) for i, pair in enumerate(good)}
    assert engine.seen[4].tokens == fake_continuation([1, 2, 3], 30, ignore_eos=True)


def test_only_the_step_that_ran_is_blamed(make_engine: MakeEngine) -> None:
    """The second stream's step waits behind the first one's: it had no part in three deaths."""
    engine = make_engine(max_num_batched_tokens=20, max_num_seqs=4)
    engine.submit(1, [1] * 20, 10, ignore_eos=True)
    engine.submit(2, [2] * 20, 10, ignore_eos=True)
    for _ in range(3):
        engine.turn()
        engine.kill_worker(0)
        engine.add_worker(0)
    engine.run()
    assert engine.seen[1].failed is not None
    assert engine.seen[2].tokens == fake_continuation([2] * 20, 10, ignore_eos=True)


def test_an_innocent_suspect_rejoins_the_others(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=8)
    for i in range(4):
        engine.submit(i, [i + 1] * 5, 40, ignore_eos=True)
    for _ in range(2):
        engine.turn()
        engine.kill_worker(0)
        engine.add_worker(0)
    rows = []
    for _ in range(20):
        engine.turn()
        flights = engine.workers[0].peer.flights
        rows.append(flights[0].ticket.step_id if not flights else len(getattr(flights[0], "slots", ())))
        engine.workers[0].work()
    assert rows[:4] == [1, 1, 1, 1]
    assert rows[-1] == 4
    engine.run()
    for i in range(4):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 5, 40, ignore_eos=True)


def test_a_suspect_pair_runs_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_batched_tokens=64)
    engine.submit_score(1, [[1, 2]])
    for _ in range(2):
        engine.turn()
        engine.kill_worker(0)
        engine.add_worker(0)
    engine.submit_score(2, [[3, 4]] * 8)
    engine.turn()
    flights = [flight for flight in engine.workers[0].peer.flights if isinstance(flight, ScoreFlight)]
    assert [len(flight.pairs) for flight in flights] == [1]
    engine.run()
    assert engine.seen[1].scores == {0: fake_score([1, 2])}
    assert len(engine.seen[2].scores) == 8
