"""Tenants pay for what is computed for them, and whoever has paid least goes first."""

from collections.abc import Callable

import numpy as np

from ipc.messages import FinishReason
from scheduler.fair_shares import MAX_IDLE_TENANTS, FairShares
from tests.support.engine_in_process import Engine
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]


def pay(shares: FairShares, tenant: str, num_new: int, drew: bool = False) -> None:
    index = np.array([shares.index_of(tenant)], np.int32)
    shares.charge(index, np.array([num_new], np.int32), np.array([drew]))


def test_a_prompt_token_costs_one_and_an_output_token_two() -> None:
    shares = FairShares()
    shares.enter("a")
    pay(shares, "a", 10)
    pay(shares, "a", 1, drew=True)
    assert shares.paid_by("a") == 12


def test_a_newcomer_begins_where_the_poorest_stands() -> None:
    shares = FairShares()
    shares.enter("a")
    shares.enter("b")
    pay(shares, "a", 100)
    pay(shares, "b", 40)
    shares.enter("c")
    assert shares.paid_by("c") == 40


def test_being_idle_saves_up_nothing_and_forgives_nothing() -> None:
    shares = FairShares()
    shares.enter("a")
    pay(shares, "a", 100)
    shares.leave("a")
    shares.enter("b")
    assert shares.paid_by("b") == 0
    shares.enter("a")
    assert shares.paid_by("a") == 100
    pay(shares, "b", 500)
    shares.leave("a")
    shares.enter("a")
    assert shares.paid_by("a") == 500


def test_idle_tenants_are_forgotten_in_the_end() -> None:
    shares = FairShares()
    for number in range(3 * MAX_IDLE_TENANTS):
        shares.enter(str(number))
        shares.leave(str(number))
    assert shares.num_active == 0
    assert len(shares.paid) <= 2 * MAX_IDLE_TENANTS


def test_the_tenant_that_asks_little_is_answered_before_the_many_requests_of_another(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=2)
    for number in range(1, 21):
        engine.submit(number, [number] * 8, 8, ignore_eos=True, tenant="busy")
    engine.turn()
    engine.submit(99, [9] * 8, 8, ignore_eos=True, tenant="calm")
    while 99 not in engine.seen or engine.seen[99].finish is FinishReason.NONE:
        engine.turn()
        engine.workers[0].work()
    done = [number for number, seen in engine.seen.items() if seen.finish is not FinishReason.NONE]
    assert len(done) <= 5
    engine.run()
    for number in range(1, 21):
        assert engine.seen[number].tokens == fake_continuation([number] * 8, 8, ignore_eos=True)


def test_without_fair_shares_first_come_is_first_served(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=2, fair_shares=False)
    for number in range(1, 11):
        engine.submit(number, [number] * 8, 8, ignore_eos=True, tenant="busy")
    engine.submit(99, [9] * 8, 8, ignore_eos=True, tenant="calm")
    engine.run()
    assert list(engine.seen)[-1] == 99


def test_a_stream_of_the_tenant_that_fills_all_slots_gives_way(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=4)
    for number in range(1, 5):
        engine.submit(number, [number] * 8, 200, ignore_eos=True, tenant="busy")
    for _ in range(4):
        engine.turn()
        engine.workers[0].work()
    engine.submit(99, [9] * 8, 8, ignore_eos=True, tenant="calm")
    for _ in range(30):
        engine.turn()
        engine.workers[0].work()
    assert engine.seen[99].finish is FinishReason.LENGTH
    assert engine.ledger.num_preemptions == 1
    engine.run()
    for number in range(1, 5):
        assert engine.seen[number].tokens == fake_continuation([number] * 8, 200, ignore_eos=True)


def test_nobody_gives_way_to_a_worse_priority(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=2)
    for number in (1, 2):
        engine.submit(number, [number] * 8, 60, ignore_eos=True, tenant="busy")
    engine.submit(99, [9] * 8, 8, ignore_eos=True, tenant="calm", priority=5)
    engine.run()
    assert engine.ledger.num_preemptions == 0
    assert list(engine.seen)[-1] == 99


def test_score_jobs_of_tenants_take_turns(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_batched_tokens=16)
    for number in range(1, 6):
        engine.submit_score(number, [[number, pair] * 4 for pair in range(20)], tenant="busy")
    engine.submit_score(99, [[9, pair] * 4 for pair in range(3)], tenant="calm")
    for _ in range(6):
        engine.turn()
        engine.workers[0].work()
    engine.turn()
    assert len(engine.seen[99].scores) == 3
    engine.run()
    assert all(len(engine.seen[number].scores) == 20 for number in range(1, 6))
