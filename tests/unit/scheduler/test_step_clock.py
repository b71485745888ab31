"""Deadlines of steps, and what follows when one is past it."""

import time
from collections.abc import Callable

import pytest

from ipc.arena import Handle
from ipc.control_messages import KillWorker
from ipc.step_layout import StepHeader, StepKind, StepShape, step_bytes, write_header
from ipc.worker_link import StepTicket
from scheduler import step_clock
from scheduler.step_clock import FIRST_STEP_S, StepClock
from scheduler.worker_peer import ScoreFlight
from tests.support.engine_in_process import Engine
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]


def flight(num_tokens: int) -> ScoreFlight:
    shape = StepShape(StepKind.SCORE, 0, num_tokens)
    columns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(1, 0, 1, shape))
    return ScoreFlight(StepTicket(1, Handle(0, 64, 1, 1)), columns, 0, num_tokens, [])


def test_a_first_step_has_long_and_later_ones_what_was_measured() -> None:
    clock = StepClock(floor_s=1.0)
    assert clock.limit_s(flight(10)) == FIRST_STEP_S
    clock.saw(flight(64), 1.28)  # 10 ms a token, fixed part included
    assert clock.limit_s(flight(936)) == pytest.approx(100.0)
    for _ in range(2000):
        clock.saw(flight(64), 0.000128)
    assert clock.limit_s(flight(936)) == 1.0  # the floor; a slow step of old is forgotten


def test_who_is_late_again_has_twice_the_time() -> None:
    """Steps that have become slow, under load that was not there before, must not end one worker after the other."""
    clock = StepClock(floor_s=3.0)
    clock.saw(flight(1), 0.001)
    for limit_s in (3.0, 6.0, 12.0):
        assert clock.limit_s(flight(1000)) == pytest.approx(limit_s)
        clock.was_late(flight(1000), limit_s)
        clock.was_late(flight(1000), limit_s)  # of another worker, at the same time
    for _ in range(500):
        clock.saw(flight(1), 0.001)
    assert clock.limit_s(flight(1000)) == 3.0


def test_a_worker_past_its_deadline_is_ended_and_its_work_goes_on(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(num_workers=1)
    engine.add_worker(1, is_spare=True)
    engine.submit(1, [1, 2, 3], 12, ignore_eos=True)
    for _ in range(4):
        engine.turn()
        engine.workers[0].work()
    engine.turn()
    now = time.monotonic()
    monkeypatch.setattr(step_clock, "BLIND_S", 1e9)
    engine.state.clock.overdue([], now)
    monkeypatch.setattr("scheduler.step_loop.time.monotonic", lambda: now + 61.0)
    engine.turn()
    sent = [record for record in engine.state.to_supervisor if isinstance(record, KillWorker)]
    assert [record.worker_id for record in sent] == [0]
    engine.turn()
    assert engine.state.live_workers == []
    assert engine.state.clock.limit_s(engine.workers[0].peer.flights[0]) >= 2 * 60.0
    monkeypatch.undo()
    engine.kill_worker(0, heir=1)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([1, 2, 3], 12, ignore_eos=True)


def test_a_scheduler_that_did_not_run_blames_nobody(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=1)
    engine.submit(1, [1, 2, 3], 12, ignore_eos=True)
    engine.turn()
    peers = list(engine.state.workers.values())
    clock = engine.state.clock
    clock.saw(flight(1), 0.001)
    assert clock.overdue(peers, time.monotonic() + 1000.0) == []
    assert clock.overdue(peers, time.monotonic() + 1000.5) == []
    engine.run()


def test_a_worker_that_writes_nonsense_is_ended(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=1)
    engine.submit(1, [1, 2, 3], 6, ignore_eos=True)
    engine.turn()
    worker = engine.workers[0]
    worker.link._writer.try_publish(77, b"")  # what only a broken worker writes
    engine.turn()
    assert any(isinstance(record, KillWorker) for record in engine.state.to_supervisor)
    engine.kill_worker(0)
    engine.add_worker(0)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([1, 2, 3], 6, ignore_eos=True)
