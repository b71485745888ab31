"""Steps, rows and frontends that fail: what they leave behind must not reach anybody else."""

from collections.abc import Callable

import numpy as np
import pytest

from ipc.codec import encode
from ipc.control_messages import KillWorker
from ipc.errors import ErrorCode
from ipc.messages import Abort, Hello
from ipc.step_layout import StepColumns
from ipc.zmq_link import SendResult
from scheduler.worker_peer import GenerateFlight
from tests.support.engine_in_process import FRONTEND, GENERATE, Engine, Runs
from workers.fake_model import fake_continuation, fake_score

MakeEngine = Callable[..., Engine]
PROMPT = list(range(60))


class BreaksRow:
    """Runs a model and marks the first row of one of its steps as broken, as NaN logits would."""

    def __init__(self, model: Runs, step: int) -> None:
        self._model, self._left = model, step

    def run(self, columns: StepColumns) -> None:
        self._model.run(columns)
        self._left -= 1
        if self._left == 0:
            columns.row_status[0] = 1
            columns.sampled[0] = -1


def check_fresh_answer(engine: Engine, stream_id: int) -> None:
    engine.submit(stream_id, PROMPT, 6, ignore_eos=True)
    engine.run()
    assert engine.seen[stream_id].tokens == fake_continuation(PROMPT, 6, ignore_eos=True)


def test_pages_of_a_failed_step_are_no_prefix_for_others(make_engine: MakeEngine) -> None:
    """The first chunk failed, the second was in flight and succeeded: its pages follow pages nobody ever wrote."""
    engine = make_engine()
    engine.submit(1, PROMPT, 6)
    engine.turn()
    worker = engine.workers[0]
    first = worker.link.poll()
    assert first is not None
    worker.link.failed(first, "boom")
    assert worker.work()
    engine.run()
    assert engine.seen[1].failed is not None
    check_fresh_answer(engine, 2)


def test_a_broken_row_fails_alone_and_is_no_prefix(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_batched_tokens=80, prompt_order="arrival")
    engine.workers[0].models[GENERATE] = BreaksRow(engine.workers[0].models[GENERATE], 1)
    engine.submit(1, PROMPT, 6)
    engine.submit(2, [7] * 10, 6, ignore_eos=True)
    engine.run()
    failed = engine.seen[1].failed
    assert failed is not None
    assert failed.code is ErrorCode.STEP_FAILED
    assert engine.seen[1].tokens == []
    assert engine.seen[2].tokens == fake_continuation([7] * 10, 6, ignore_eos=True)
    check_fresh_answer(engine, 3)


def test_a_stream_of_one_token_leaves_its_prefix(make_engine: MakeEngine) -> None:
    engine = make_engine()
    for stream_id in range(2):
        engine.submit(stream_id, PROMPT, 1)
        engine.run()
    assert engine.seen[1].num_cached == 48


@pytest.mark.parametrize("length", [9, 10])  # the page is needed in the first or the second plan of a turn
def test_preempting_a_prefill_while_a_step_is_planned(make_engine: MakeEngine, length: int) -> None:
    """A decoding stream takes the pages of a prefill that the same plan was about to continue.

    The worker does both steps before the scheduler's next turn, so nothing of the prefill is in flight then, and it
    is gone at once when its pages are needed.
    """
    engine = make_engine(num_pages=5, max_model_len=64, max_num_batched_tokens=2)
    engine.submit(1, [1] * length, 50, ignore_eos=True)
    engine.submit(2, [2] * 40, 10, ignore_eos=True)
    for _ in range(100):
        engine.turn()
        while engine.workers[0].work():
            pass
    engine.run()
    assert engine.num_preemptions() > 0
    assert engine.seen[1].tokens == fake_continuation([1] * length, 50, ignore_eos=True)
    assert engine.seen[2].tokens == fake_continuation([2] * 40, 10, ignore_eos=True)


def test_malformed_abort_harms_nobody(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, PROMPT, 6, ignore_eos=True)
    engine.router.incoming.append((FRONTEND, encode(Abort(b"abc"))))
    engine.run()
    assert engine.seen[1].tokens == fake_continuation(PROMPT, 6, ignore_eos=True)


def test_a_frontend_out_of_reach_is_told_what_it_lost_when_it_is_back(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    engine.submit(1, PROMPT, 50, ignore_eos=True)
    engine.turn()
    with monkeypatch.context() as patch:
        patch.setattr(engine.router, "send", lambda identity, frame: SendResult.GONE)
        for _ in range(6):
            engine.workers[0].work()
            engine.turn()
    engine.router.incoming.append((FRONTEND, encode(Hello(0, 1))))
    engine.run()
    failed = engine.seen[1].failed
    assert failed is not None
    assert failed.code is ErrorCode.SCHEDULER_LOST
    check_fresh_answer(engine, 2)


def test_a_long_pair_is_not_overtaken_for_ever(make_engine: MakeEngine) -> None:
    engine = make_engine(max_model_len=256)
    engine.submit_score(1, [[1] * 16] * 100)
    engine.submit_score(2, [[2] * 16] * 100)
    engine.submit_score(3, [[3] * 20])
    for _ in range(8):
        engine.turn()
        engine.workers[0].work()
    engine.turn()
    assert engine.seen[3].scores == {0: fake_score([3] * 20)}
    engine.run()


def test_deaths_count_only_without_progress(make_engine: MakeEngine) -> None:
    engine = make_engine()
    engine.submit(1, PROMPT, 40, ignore_eos=True)
    for _ in range(5):
        for _ in range(4):
            engine.turn()
            engine.workers[0].work()
        engine.turn()
        engine.kill_worker(0)
        engine.add_worker(0)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation(PROMPT, 40, ignore_eos=True)


def test_results_are_read_from_the_block(make_engine: MakeEngine) -> None:
    """What the harness' worker writes is what the scheduler reads: the block, not a copy."""
    engine = make_engine()
    engine.submit(1, [1, 2], 1)
    engine.turn()
    flight = engine.workers[0].peer.flights[0]
    assert engine.workers[0].work()
    columns = flight.columns
    assert columns.sampled.tolist() == fake_continuation([1, 2], 1)
    assert isinstance(columns.sampled, np.ndarray)
    engine.run()


def test_a_step_whose_results_cannot_be_read_runs_again(make_engine: MakeEngine) -> None:
    """Its worker is ended; nothing of the step counts, and its streams wait for nobody."""
    engine = make_engine()
    engine.submit(1, [1, 2, 3], 6, ignore_eos=True)
    engine.turn()
    worker = engine.workers[0]
    ticket = worker.link.poll()
    assert ticket is not None
    engine.state.writer.arena.view(ticket.handle)[:8] = bytes(8)  # where the header begins
    worker.link.done(ticket)
    engine.turn()
    assert any(isinstance(record, KillWorker) for record in engine.state.to_supervisor)
    engine.kill_worker(0)
    engine.add_worker(0)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([1, 2, 3], 6, ignore_eos=True)


def test_a_row_behind_a_failed_step_is_not_to_blame(make_engine: MakeEngine) -> None:
    """Of two rows of the step that failed one ended with it; the other is alone in the step behind."""
    engine = make_engine()
    engine.submit(1, [1, 2, 3], 1, ignore_eos=True)
    engine.submit(2, [4, 5, 6], 6, ignore_eos=True)
    engine.turn()
    flights = engine.workers[0].peer.flights
    assert [len(flight.slots) for flight in flights if isinstance(flight, GenerateFlight)] == [2, 1]
    assert engine.workers[0].fail()
    assert engine.workers[0].fail()
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([1, 2, 3], 1, ignore_eos=True)
    assert engine.seen[2].tokens == fake_continuation([4, 5, 6], 6, ignore_eos=True)
