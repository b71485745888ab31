"""Steps take about the wanted time, whatever the machine."""

from scheduler.step_budget import StepBudget
from scheduler.step_pace import FEWEST_TOKENS, StepPace
from tests.support.engine_in_process import GENERATE, Engine

MOST = 512


def test_a_step_brings_what_the_machine_computes_in_the_wanted_time() -> None:
    pace = StepPace(target_s=0.25)
    for _ in range(20):
        pace.saw(0, num_tokens=200, seconds=0.2)  # 1 ms a token
    assert pace.tokens(0, MOST) == 224  # 250, in whole tiles


def test_fast_machines_are_bounded_by_the_operator_and_slow_ones_still_move() -> None:
    pace = StepPace(target_s=0.25)
    pace.saw(0, num_tokens=100, seconds=0.001)
    pace.saw(1, num_tokens=100, seconds=100.0)
    assert pace.tokens(0, MOST) == MOST
    assert pace.tokens(1, MOST) == FEWEST_TOKENS
    assert pace.tokens(1, 16) == 16


def test_decoding_alone_says_nothing_about_prefill() -> None:
    pace = StepPace(target_s=0.25)
    before = pace.tokens(0, MOST)
    pace.saw(0, num_tokens=8, seconds=0.1)
    assert pace.tokens(0, MOST) == before


def test_a_target_of_zero_sets_no_limit() -> None:
    pace = StepPace(target_s=0.0)
    pace.saw(0, num_tokens=100, seconds=10.0)
    assert pace.tokens(0, MOST) == MOST


def test_prefill_gets_what_decoding_left_of_the_time_and_some_tokens_anyhow() -> None:
    budget = StepBudget(tokens=512, rows=256, paced=200)
    budget.add(40, 40)
    budget.pace_prefill(FEWEST_TOKENS)
    assert budget.tokens == 160
    full = StepBudget(tokens=512, rows=256, paced=200)
    full.add(256, 256)
    full.pace_prefill(FEWEST_TOKENS)
    assert full.tokens == FEWEST_TOKENS


def paced_engine(seconds_per_token: float) -> Engine:
    """One that knows what a token costs and wants steps of a quarter of a second."""
    engine = Engine(num_pages=256, max_model_len=1024, max_num_batched_tokens=MOST, max_num_seqs=128)
    engine.state.pace.target_s = 0.25
    engine.state.pace.saw(GENERATE, 100, 100 * seconds_per_token)
    return engine


def test_a_prompt_is_cut_into_chunks_of_the_wanted_time() -> None:
    engine = paced_engine(seconds_per_token=0.001)
    engine.submit(1, [1] * 600, 4)
    engine.turn()
    assert [flight.num_tokens for flight in engine.workers[0].peer.flights] == [256, 256]  # nobody decodes
    engine.run()
    assert len(engine.seen[1].tokens) == 4
    engine.close()


def test_many_streams_that_decode_slowly_keep_no_new_one_out() -> None:
    engine = paced_engine(seconds_per_token=0.001)
    for number in range(100):
        engine.submit(number, [1, number], 100, ignore_eos=True)
    for _ in range(4):
        engine.turn()
        engine.workers[0].work()
    engine.turn()
    engine.state.pace = StepPace(target_s=0.25)
    engine.state.pace.saw(GENERATE, 100, 100.0)  # a second a token
    engine.submit(200, [1] * 300, 1)
    engine.workers[0].work()
    engine.turn()
    assert engine.workers[0].peer.flights[-1].num_tokens == 100 + FEWEST_TOKENS
    engine.run()
    assert len(engine.seen[200].tokens) == 1
    engine.close()


def test_patience_stretches_the_wanted_time() -> None:
    pace = StepPace(0.5)
    pace.saw(0, 1000, 1.0)
    assert pace.tokens(0, 4096) == 480
    assert pace.tokens(0, 4096, 2.0) == 992
    assert pace.tokens(0, 700, 2.0) == 700
