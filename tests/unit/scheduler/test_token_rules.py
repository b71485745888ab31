"""Rules and log-probabilities on their way through the scheduler: what a worker is told, and what a client is."""

from collections.abc import Callable

import numpy as np
import pytest

from ipc.arena import Arena, ArenaReader, Handle
from ipc.messages import FinishReason, PromptLogprobs, TokenBatch
from ipc.segments import Segment
from ipc.step_layout import RowFlag, RowStatus, StepColumns
from ipc.token_rules import TokenRules, decode_rules, encode_rules
from scheduler.rules_store import RulesStore
from tests.support.engine_in_process import Engine
from workers.fake_model import FakeModel, fake_continuation

MakeEngine = Callable[..., Engine]
Observed = Callable[..., tuple[Engine, "Observer"]]


class Observer:
    """Computes as the fake model does, keeps what rows with rules were told, and tells log-probabilities."""

    def __init__(self, engine: Engine) -> None:
        self._fake = FakeModel(engine.cards[0], engine.config.max_num_seqs)
        for pool, kv in enumerate(engine.kv):
            self._fake.use_pool(pool, kv.view)
        self._arena = ArenaReader(engine.arena_segment)
        self.told: list[tuple[int, TokenRules, list[int]]] = []  # serial, rules, tokens before those of the step
        self.complete_at = -1  # this output position is not drawn: the grammar is complete
        self.late_turns = 0  # so many rows with rules are told to come later

    def run(self, columns: StepColumns) -> None:
        self._fake.run(columns)
        used = 0
        for row in np.flatnonzero(columns.rules_id).tolist():
            handle = Handle(*columns.rules_handle[row].tolist())
            rules = decode_rules(bytes(self._arena.view(handle)))
            start = int(columns.start[row])
            self.told.append((int(columns.serial[row]), rules, columns.history[used : used + start].tolist()))
            used += start
        columns.logprob[:] = -columns.sampled / 10
        columns.rank[:] = columns.slot + 1
        columns.top_ids[:] = np.arange(columns.top_ids.shape[1])
        columns.top_logprobs[:] = -0.5
        if columns.header.shape.has_prompt_logprobs:
            following = np.append(columns.token_ids[1:], 0)
            ends = np.cumsum(columns.num_new) - 1
            following[ends] = columns.next_token
            columns.prompt_logprob[:] = -following
            columns.prompt_rank[:] = 7
            columns.prompt_top_ids[:] = 3
            columns.prompt_top_logprobs[:] = -0.25
        position = columns.start + columns.num_new - columns.num_prompt
        complete = (position == self.complete_at) & ((columns.flags & RowFlag.SAMPLE) > 0)
        columns.row_status[complete] = RowStatus.COMPLETE
        columns.sampled[complete] = -1
        for row in np.flatnonzero((columns.rules_id > 0) & (columns.flags & RowFlag.SAMPLE)).tolist():
            if self.late_turns > 0:
                self.late_turns -= 1
                columns.row_status[row] = RowStatus.LATER
                columns.sampled[row] = -1


@pytest.fixture
def observed(make_engine: MakeEngine) -> Observed:
    def make(**options: object) -> tuple[Engine, Observer]:
        engine = make_engine(**options)
        observer = Observer(engine)
        for worker in engine.workers.values():
            worker.models[0] = observer
        return engine, observer

    return make


def batches(engine: Engine) -> list[TokenBatch]:
    return [record for _, record in engine.router.sent if isinstance(record, TokenBatch)]


def test_a_row_with_rules_brings_them_and_its_tokens_along(observed: Observed) -> None:
    engine, observer = observed()
    prompt, rules = list(range(50)), TokenRules(min_tokens=3, grammar="some")
    engine.submit(1, prompt, 6, ignore_eos=True, rules=encode_rules(rules))
    engine.submit(2, [7] * 5, 6, ignore_eos=True)
    engine.run()
    all_tokens = prompt + engine.seen[1].tokens
    assert engine.seen[1].tokens == fake_continuation(prompt, 6, ignore_eos=True)
    assert [len(history) for _, _, history in observer.told][:3] == [0, 27, 50]  # the shorter prompt first
    for serial, told, history in observer.told:
        assert (serial, told) == (observer.told[0][0], rules)
        # A step planned before its predecessor's token is committed knows all tokens but its own.
        assert history == all_tokens[: len(history)]


def test_equal_rules_lie_in_the_arena_once_and_leave_with_the_last_stream() -> None:
    segment = Segment.create("test-arena", 1 << 20)
    store = RulesStore(Arena(segment, 3), epoch=3, max_bytes=16384)
    first, again = store.take(b"a" * 100), store.take(b"a" * 100)
    assert first is again
    assert store.num_leases == 1
    other = store.take(b"b" * 8000)
    assert first is not None
    assert other is not None
    assert other.rules_id != first.rules_id
    assert store.take(b"c" * 8000) is None  # no room until another one leaves
    store.give_back(b"b" * 8000)
    assert store.take(b"c" * 8000) is not None
    for _ in range(2):
        store.give_back(b"a" * 100)
    assert store.num_leases == 1
    segment.close()


def test_streams_whose_rules_have_no_room_wait(observed: Observed) -> None:
    engine, _ = observed(max_waiting_tokens=10_000_000)
    for number in range(1, 7):  # each 2 MiB in an arena of 8
        engine.submit(
            number, [number], 5, ignore_eos=True, rules=encode_rules(TokenRules(grammar=str(number) * (2 << 19)))
        )
    engine.run()
    assert all(len(engine.seen[number].tokens) == 5 for number in range(1, 7))


def test_log_probabilities_reach_who_asked(observed: Observed) -> None:
    engine, _ = observed()
    engine.submit(1, [1, 2, 3], 4, ignore_eos=True, num_logprobs=2)
    engine.submit(2, [4, 5, 6], 4, ignore_eos=True)
    engine.run()
    told = 0
    for batch in batches(engine):
        tokens = np.frombuffer(batch.token_ids, np.int32)
        if batch.logprobs:
            told += 1
            assert np.allclose(np.frombuffer(batch.logprobs, np.float32), -tokens / 10)
            assert np.frombuffer(batch.top_ids, np.int32).reshape(len(tokens), batch.num_top).tolist()[0] == [0, 1]
    assert told == 4


def test_nobody_asked_for_log_probabilities(observed: Observed) -> None:
    engine, _ = observed()
    engine.submit(1, [1, 2, 3], 4)
    engine.run()
    assert all(batch.logprobs == batch.top_ids == b"" for batch in batches(engine))


def test_a_prompts_log_probabilities_come_once_each_in_chunks(
    observed: Observed,
) -> None:
    engine, _ = observed()
    prompt = [(3 * place) % 200 for place in range(100)]
    engine.submit(1, prompt, 3, ignore_eos=True)
    engine.run()  # its pages are cached now, and must not be used
    engine.submit(2, prompt, 3, ignore_eos=True, num_prompt_logprobs=1)
    engine.run()
    records = [record for _, record in engine.router.sent if isinstance(record, PromptLogprobs)]
    told = [value for record in records for value in np.frombuffer(record.logprobs, np.float32).tolist()]
    assert told == [-token for token in prompt[1:]]
    assert records[0].position == 1
    assert len(records) > 1
    assert engine.seen[2].num_cached == 0
    assert engine.seen[2].tokens == engine.seen[1].tokens


def test_prompts_of_one_token_have_nothing_to_tell(observed: Observed) -> None:
    engine, _ = observed()
    engine.submit(1, [5], 2, ignore_eos=True, num_prompt_logprobs=0)
    engine.run()
    assert not [record for _, record in engine.router.sent if isinstance(record, PromptLogprobs)]
    assert engine.seen[1].finish is FinishReason.LENGTH


def test_a_complete_grammar_ends_the_stream_without_a_token(
    observed: Observed,
) -> None:
    engine, observer = observed()
    observer.complete_at = 2
    engine.submit(1, [1, 2, 3], 10, ignore_eos=True, rules=encode_rules(TokenRules(grammar="g")))
    engine.run()
    assert engine.seen[1].tokens == [*fake_continuation([1, 2, 3], 2, ignore_eos=True), -1]
    assert engine.seen[1].finish is FinishReason.STOP


def test_it_survives_a_death_and_a_preemption(observed: Observed) -> None:
    engine, observer = observed(num_pages=12, num_workers=2)
    rules = encode_rules(TokenRules(min_tokens=1))
    for number in range(1, 6):
        engine.submit(number, [number] * 20, 40, ignore_eos=True, rules=rules, num_prompt_logprobs=0)
    for turn in range(30):
        engine.turn()
        for worker in engine.workers.values():
            worker.work()
        if turn == 10:
            engine.kill_worker(0)
    engine.run()
    for number in range(1, 6):
        assert engine.seen[number].tokens == fake_continuation([number] * 20, 40, ignore_eos=True)
        mine = [history for serial, _, history in observer.told if history[:1] == [number]]
        assert all(history == ([number] * 20 + engine.seen[number].tokens)[: len(history)] for history in mine)


def test_streams_without_rules_pass_those_whose_rules_have_no_room(observed: Observed) -> None:
    engine, _ = observed(max_waiting_tokens=10_000_000)
    engine.state.rules._max_bytes = 4096
    engine.submit(1, [1], 60, ignore_eos=True, rules=encode_rules(TokenRules(min_tokens=1)))
    engine.submit(2, [2], 60, ignore_eos=True, rules=encode_rules(TokenRules(min_tokens=2)))
    engine.submit(3, [3], 5, ignore_eos=True)
    for _ in range(12):
        engine.turn()
        engine.workers[0].work()
    assert engine.seen[3].finish is FinishReason.LENGTH
    assert 2 not in engine.seen
    engine.run()
    assert len(engine.seen[2].tokens) == 60


def test_a_prefill_with_rules_is_not_left_out_for_ever(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.step_budget.MAX_HISTORY_TOKENS", 300)
    monkeypatch.setattr("scheduler.step_budget.StepBudget.__init__.__defaults__", (False, 300))
    engine, _ = observed(num_pages=128)
    rules = encode_rules(TokenRules(min_tokens=1))
    for number in (1, 2):
        engine.submit(number, [number] * 20, 200, ignore_eos=True, rules=rules)
    for _ in range(60):
        engine.turn()
        engine.workers[0].work()
    engine.submit(3, [3] * 100, 5, ignore_eos=True, rules=rules)
    for _ in range(120):
        engine.turn()
        engine.workers[0].work()
    assert engine.seen[3].finish is FinishReason.LENGTH
    engine.run()


@pytest.mark.parametrize("num_prompt", [1, 5, 40])
def test_a_row_that_is_late_is_planned_again(observed: Observed, num_prompt: int) -> None:
    engine, observer = observed(num_workers=2)
    observer.late_turns = 7
    prompt = list(range(num_prompt))
    rules = encode_rules(TokenRules(grammar="slow"))
    engine.submit(1, prompt, 30, ignore_eos=True, rules=rules, num_prompt_logprobs=0)
    engine.submit(2, [2] * 20, 30, ignore_eos=True)
    engine.run()
    assert engine.seen[1].tokens == fake_continuation(prompt, 30, ignore_eos=True)
    assert engine.seen[2].tokens == fake_continuation([2] * 20, 30, ignore_eos=True)
    told = [record for _, record in engine.router.sent if isinstance(record, PromptLogprobs)]
    assert sum(len(record.logprobs) // 4 for record in told) == num_prompt - 1
