"""A stream that gives way while a step with a row of it is planned keeps slot and pages until that step is done."""

from collections.abc import Callable

from scheduler.step_budget import StepBudget
from scheduler.step_draft import StepDraft, take_back
from tests.support.engine_in_process import Engine
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]


def test_who_gives_way_in_the_step_it_is_planned_for_is_computed_first(make_engine: MakeEngine) -> None:
    """It was vacated at once: its row was computed in pages that belonged to nobody, or to another stream by then."""
    engine = make_engine(num_pages=20, max_num_seqs=8, steps_in_flight=1, max_num_batched_tokens=64)
    for number in (1, 2, 3):
        engine.submit(number, [number] * 60, 40, ignore_eos=True, tenant="busy")
    for _ in range(8):
        engine.turn()
        engine.workers[0].work()
    engine.submit(9, [9] * 90, 8, ignore_eos=True, tenant="calm")
    while not engine.ledger.num_preemptions:
        engine.workers[0].work()
        engine.turn()
    flight = engine.workers[0].peer.flights[-1]
    assert all(engine.ledger.streams[slot] is not None for slot in flight.slots.tolist())  # type: ignore[union-attr]
    engine.run()
    for number in (1, 2, 3):
        assert engine.seen[number].tokens == fake_continuation([number] * 60, 40, ignore_eos=True)
    assert engine.seen[9].tokens == fake_continuation([9] * 90, 8, ignore_eos=True)


def test_a_step_that_is_not_submitted_lets_go_who_gave_way_for_it(make_engine: MakeEngine) -> None:
    engine = make_engine(steps_in_flight=1)
    engine.submit(1, [1] * 40, 8)
    engine.turn()
    engine.workers[0].work()
    engine.loop.commit_reports(engine.workers[0].peer)
    ledger = engine.ledger
    draft = StepDraft(ledger, StepBudget(tokens=64, rows=8))
    assert draft.add_chunk(0)
    plan = draft.take_off()
    ledger.preempt(0)
    assert ledger.streams[0] is not None
    assert plan is not None
    take_back(ledger, plan)
    assert ledger.num_running == 0
    assert ledger.waiting.num_waiting == 1
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([1] * 40, 8)
