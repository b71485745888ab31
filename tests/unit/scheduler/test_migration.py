"""Streams that move between pools: their tokens stay exact, nothing is prefilled again, every page comes back."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.control_messages import PoolDrained
from ipc.messages import SamplingParams
from scheduler import integrity, migration
from tests.support.engine_in_process import GENERATE, Engine, Seen
from workers.fake_model import fake_continuation

MakeEngine = Callable[..., Engine]
PROMPT = [5] * 70


def prefilled(engine: Engine) -> float:
    """Tokens prefilled so far, and of them those a second time."""
    readings = {reading.family.name: reading.values for reading in engine.page.read()}
    assert sum(readings["zerolane_reprefilled_tokens_total"].values()) == 0
    return sum(readings["zerolane_prefilled_tokens_total"].values())


def step_all(engine: Engine, turns: int = 1) -> None:
    for _ in range(turns):
        engine.turn()
        for worker in list(engine.workers.values()):
            worker.work()


def test_a_drained_pool_gives_its_streams_away(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=2, num_pools=2, num_pages=64)
    for i in range(6):
        engine.submit(i, [i + 1] * 40, 60, ignore_eos=True)
    step_all(engine, 12)
    assert engine.ledger.pages.num_used(0) > 0
    assert engine.ledger.pages.num_used(1) > 0
    engine.drain_pool(1)
    for _ in range(60):
        step_all(engine)
        if 1 not in engine.ledger.pages.caches:
            break
    assert PoolDrained(1) in engine.state.to_supervisor
    assert engine.ledger.num_running == 6  # all of them still decode
    engine.run()
    for i in range(6):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 40, 60, ignore_eos=True)
    assert prefilled(engine) == 6 * 39


def test_a_stream_decodes_on_while_it_is_copied(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page a step: the stream gains tokens in between, and pauses for the last page only."""
    monkeypatch.setattr(migration, "MAX_COPIED_PAGES", 1)
    engine = make_engine(num_workers=2, num_pools=2, num_pages=64)
    engine.submit(1, [9] * 150, 90, ignore_eos=True)
    step_all(engine, 12)
    slot = next(slot for slot, stream in enumerate(engine.ledger.streams) if stream is not None)
    source = int(engine.ledger.pages.pool[slot])
    before = len(engine.seen[1].tokens)
    assert migration.start(engine.ledger, slot, 1 - source)
    counts = []
    for _ in range(100):
        step_all(engine)
        counts.append(len(engine.seen[1].tokens))
        if engine.ledger.pages.pool[slot] == 1 - source:
            break
    assert counts[-1] > before + 5
    engine.run()
    assert engine.seen[1].tokens == fake_continuation([9] * 150, 90, ignore_eos=True)
    assert engine.ledger.pages.num_used(source) == 0


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 5, 6])
def test_either_side_may_die_at_any_point(make_engine: MakeEngine, victim: int, turns: int) -> None:
    engine = make_engine(num_workers=2, num_pools=2, num_pages=64)
    engine.submit(1, PROMPT, 60, ignore_eos=True)
    engine.submit(2, [8] * 30, 60, sampling=SamplingParams(temperature=1.0, seed=7), ignore_eos=True)
    step_all(engine, 10)
    engine.drain_pool(0)
    for _ in range(turns):
        engine.turn()
        for worker_id, worker in engine.workers.items():
            if worker_id != victim:
                worker.work()
    engine.kill_worker(victim)
    step_all(engine, 3)
    engine.add_worker(victim)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation(PROMPT, 60, ignore_eos=True)
    assert engine.seen[2].tokens == fake_continuation([8] * 30, 60, seed=7, temperature=1.0, ignore_eos=True)
    prefilled(engine)


def test_a_pool_that_was_lost_gets_its_share_again(make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.steering.LOST_AFTER_S", -1.0)
    engine = make_engine(num_workers=2, num_pools=2, num_pages=64)
    for i in range(4):
        engine.submit(i, [i + 1] * 30, 90, ignore_eos=True)
    step_all(engine, 8)
    engine.kill_worker(1)
    step_all(engine, 10)
    assert engine.ledger.pages.num_used(1) == 0  # all of them decode in the other pool
    engine.add_worker(1)
    step_all(engine, 10)
    assert engine.ledger.pages.num_used(1) > 0
    engine.run()
    for i in range(4):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 30, 90, ignore_eos=True)
    prefilled(engine)


def test_a_prefix_the_target_knows_is_not_copied(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=2, num_pools=2, num_pages=64, max_num_seqs=4)
    engine.submit(1, PROMPT, 4, ignore_eos=True)
    engine.run()  # one pool knows the prompt now
    known_in = next(pool for pool, cache in engine.ledger.pages.caches.items() if cache.pool.num_cached_free)
    engine.drain_pool(known_in)
    engine.run()
    step_all(engine, 2)
    engine.add_pool(known_in)
    engine.submit(2, PROMPT, 60, ignore_eos=True)
    engine.submit(3, PROMPT, 60, ignore_eos=True)
    step_all(engine, 8)
    slots = [slot for slot, stream in enumerate(engine.ledger.streams) if stream is not None]
    pools = {int(engine.ledger.pages.pool[slot]) for slot in slots}
    assert len(slots) == 2
    target = 1 - pools.pop()
    assert migration.start(engine.ledger, slots[0], target)
    record = engine.ledger.migrations[slots[0]]
    assert record.num_copied == len(record.known.pages)
    engine.run()
    for number in (2, 3):
        assert engine.seen[number].tokens == fake_continuation(PROMPT, 60, ignore_eos=True)


def test_a_migration_into_a_full_pool_waits(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=2, num_pools=2, num_pages=9, max_model_len=128)
    for i in range(6):
        engine.submit(i, [i + 1] * 60, 20, ignore_eos=True)
    step_all(engine, 6)
    engine.drain_pool(1)
    engine.run()
    for i in range(6):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 60, 20, ignore_eos=True)
    step_all(engine, 1)
    assert 1 not in engine.ledger.pages.caches


@pytest.mark.parametrize("turns", [24, 26, 28])
def test_two_that_wait_for_each_others_pages_go_on(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """They share pages where they are, not where they go: there the room they had at the start is too little."""
    monkeypatch.setattr(migration, "MAX_COPIED_PAGES", 1)
    engine = make_engine(num_workers=2, num_pools=2, num_pages=12, max_model_len=160)
    engine.drain_pool(1)
    engine.turn()
    for number in (1, 2):
        engine.submit(number, PROMPT, 80, ignore_eos=True)
    step_all(engine, turns)
    engine.add_pool(1)
    engine.drain_pool(0)
    engine.run()
    for number in (1, 2):
        assert engine.seen[number].tokens == fake_continuation(PROMPT, 80, ignore_eos=True)


def test_prefill_workers_hand_their_streams_over(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=0, num_pages=64)
    engine.add_worker(0, phases="prefill")
    engine.add_worker(1, phases="decode")
    for i in range(5):
        engine.submit(i, [i + 1] * 50, 20, ignore_eos=True)
    engine.run()
    for i in range(5):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 50, 20, ignore_eos=True)
    assert prefilled(engine) == 5 * 49
    assert engine.workers[0].num_decoded <= 5  # the first token of each comes with its prefill
    assert engine.workers[1].num_decoded >= 5 * 19


def test_prefill_and_decode_in_pools_of_their_own(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=0, num_pools=2, num_pages=64)
    engine.add_worker(0, phases="prefill")
    engine.add_worker(1, phases="decode")
    for i in range(5):
        engine.submit(i, [i + 1] * 50, 40, ignore_eos=True)
    engine.run()
    for i in range(5):
        assert engine.seen[i].tokens == fake_continuation([i + 1] * 50, 40, ignore_eos=True)
    assert prefilled(engine) == 5 * 49
    assert engine.workers[1].num_decoded > 5 * 20


@pytest.mark.parametrize("left", ["prefill", "decode"])
def test_one_phase_alone_does_both(make_engine: MakeEngine, left: str) -> None:
    engine = make_engine(num_workers=0)
    engine.add_worker(0, phases=left)  # type: ignore[arg-type]
    engine.submit(1, PROMPT, 20, ignore_eos=True)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation(PROMPT, 20, ignore_eos=True)


def test_a_spare_takes_over_at_once(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=1)
    engine.add_worker(5, is_spare=True)
    engine.submit(1, PROMPT, 30, ignore_eos=True)
    step_all(engine, 6)
    assert not engine.workers[5].peer.num_steps
    engine.turn()
    engine.kill_worker(0, heir=5)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation(PROMPT, 30, ignore_eos=True)
    prefilled(engine)


def test_requests_go_where_their_prefix_is(make_engine: MakeEngine) -> None:
    engine = make_engine(num_workers=2, num_pools=2, num_pages=64)
    engine.submit(1, PROMPT, 2, ignore_eos=True)
    engine.run()
    for number in range(2, 8):
        engine.submit(number, [*PROMPT, number], 2, ignore_eos=True)
        engine.run()
        assert engine.seen[number].num_cached == 64


Event = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 70), st.integers(1, 40)),
    st.tuples(st.just("abort"), st.integers(0, 40), st.just(0)),
    st.tuples(st.just("work"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("fail"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("spare"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("drain pool"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, 7), st.integers(0, 1)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(Event, max_size=80), st.booleans(), st.sampled_from(["both", "split"]))
def test_any_order_of_events_in_two_pools(events: list[tuple[str, int, int]], caching: bool, phases: str) -> None:
    """Workers die, steps fail, pools leave and come back, streams move: no token is lost, doubled or swapped."""
    engine = Engine(num_pages=20, num_workers=0, num_pools=2, max_model_len=128, enable_prefix_caching=caching)
    prompts: dict[int, tuple[list[int], int]] = {}
    aborted: set[int] = set()
    kinds = ["prefill", "decode", "decode", "prefill"] if phases == "split" else ["both"] * 4
    try:
        for worker_id in range(4):
            engine.add_worker(worker_id, phases=kinds[worker_id])  # type: ignore[arg-type]
        for number, (kind, a, b) in enumerate(events):
            if kind == "submit":
                prompts[number] = ([(a * 31 + i // 16) % 256 for i in range(a)], b)
                engine.submit(number, *prompts[number])
            elif kind == "abort":
                aborted.add(a)
                engine.abort(a)
            elif kind == "work":
                engine.workers[a].work()
            elif kind == "kill":
                engine.kill_worker(a)
                engine.add_worker(a, phases=kinds[a])  # type: ignore[arg-type]
            elif kind == "fail":
                engine.workers[a].fail()
            elif kind == "spare":
                engine.add_worker(9, is_spare=True)
                engine.kill_worker(a, heir=9)
                engine.kill_worker(9)
                engine.add_worker(a, phases=kinds[a])  # type: ignore[arg-type]
            elif kind == "drain pool" and len(engine.ledger.pages.caches) == 2 and not engine.state.draining_pools:
                engine.drain_pool(a)
            elif kind == "move" and engine.ledger.streams[a] is not None and b in engine.ledger.pages.caches:
                migration.start(engine.ledger, a, b)
            engine.turn()
            if engine.ledger.by_key:
                integrity.check_ledger(engine.ledger)
            for pool in {0, 1} - set(engine.ledger.pages.caches):
                engine.add_pool(pool)
        engine.run()
        _check_all(engine, prompts, aborted)
    finally:
        engine.close()


def _check_all(engine: Engine, prompts: dict[int, tuple[list[int], int]], aborted: set[int]) -> None:
    for number, (prompt, max_tokens) in prompts.items():
        seen = engine.seen.get(number, Seen())
        expected = fake_continuation(prompt, max_tokens)
        if number in aborted or seen.failed is not None:
            assert seen.tokens == expected[: len(seen.tokens)]
        else:
            assert seen.tokens == expected
            assert seen.num_final == 1
    assert all(cache.pool.num_used == 0 for cache in engine.ledger.pages.caches.values())
    assert engine.state.ledgers[GENERATE].migrations == {}
