"""Tenants pay for what is computed for them, and whoever has paid least goes first."""

from collections.abc import Callable

import numpy as np

from ipc.messages import FinishReason
from scheduler.fair_shares import MAX_IDLE_TENANTS, MAX_LEAD, FairShares
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


def test_a_newcomer_begins_where_the_richest_stands() -> None:
    """Or a client that says another name each time would always go first."""
    shares = FairShares()
    shares.enter("a")
    shares.enter("b")
    pay(shares, "a", 100)
    pay(shares, "b", 40)
    shares.enter("c")
    assert shares.paid_by("c") == 100


def test_being_idle_saves_up_nothing() -> None:
    shares = FairShares()
    for tenant in ("a", "b"):
        shares.enter(tenant)
    shares.leave("a")
    pay(shares, "b", 500)
    shares.enter("a")
    assert shares.paid_by("a") == 500


def test_neither_debts_nor_credit_last() -> None:
    """Who was served alone for an hour, and who only watched, are soon as good as each other."""
    shares = FairShares()
    for tenant in ("busy", "watching"):
        shares.enter(tenant)
    pay(shares, "busy", 10_000_000)
    shares.enter("watching")
    assert shares.paid_by("watching") == 10_000_000 - MAX_LEAD
    shares.leave("busy")
    for _ in range(2):
        shares.leave("watching")
    shares.enter("new")
    shares.enter("busy")
    assert shares.paid_by("busy") - shares.paid_by("new") <= MAX_LEAD


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


def test_ever_new_names_do_not_starve_an_honest_tenant(make_engine: MakeEngine) -> None:
    engine = make_engine(max_num_seqs=2)
    engine.submit(1, [1] * 8, 8, ignore_eos=True, tenant="honest")
    engine.submit(2, [2] * 8, 8, ignore_eos=True, tenant="honest")
    number = 100
    while 2 not in engine.seen or engine.seen[2].finish is FinishReason.NONE:
        assert number < 160
        while engine.ledger.waiting.num_waiting < 8:
            number += 1
            engine.submit(number, [number % 200] * 8, 8, ignore_eos=True, tenant=f"name {number}")
            engine.turn()
        engine.workers[0].work()
        engine.turn()


def test_nobody_is_preempted_to_be_admitted_again_at_once(make_engine: MakeEngine) -> None:
    """The one that waits has paid more: a stream that gave way would go before it."""
    engine = make_engine(max_num_seqs=4)
    engine.submit(1, [1] * 200, 30, ignore_eos=True, tenant="old")
    engine.run()
    engine.ledger.shares.enter("old")  # as if it had something small open all the time
    for number in range(11, 15):
        engine.submit(number, [number] * 4, 100, ignore_eos=True, tenant="new")
    engine.turn()
    engine.ledger.shares.paid[engine.ledger.shares.index_of("new")] = 0
    engine.submit(2, [2] * 8, 8, ignore_eos=True, tenant="old")
    for _ in range(20):
        engine.turn()
        engine.workers[0].work()
    assert engine.ledger.num_preemptions <= 1
    engine.ledger.shares.leave("old")
    engine.run()
