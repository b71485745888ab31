"""Rules, grammars and log-probabilities through the real scheduler: two steps in flight, preemption, two workers."""

from pathlib import Path

import numpy as np
import pytest
from llguidance import LLMatcher
from msgspec.structs import replace

from ipc.arena import ArenaReader
from ipc.messages import FinishReason, SamplingParams, TokenBatch
from ipc.token_rules import TokenRules, encode_rules
from tests.parity.ruled_driver import RuledDriver, RuledStream
from tests.parity.test_grammars import GRAMMAR, Workers
from tests.parity.text_model import EOS_IDS, save_text_model
from tests.support.engine_in_process import Engine
from workers.from_scheduler import rules_reader

pytestmark = pytest.mark.parity
NUM_TOKENS = 80
RULES = [
    TokenRules(grammar=GRAMMAR),
    TokenRules(repetition_penalty=1.4, frequency_penalty=0.5),
    TokenRules(grammar=LLMatcher.grammar_from_regex("[0-9]{6,30}(,[a-z]+){1,5}")),
    TokenRules(min_tokens=30, stop_ids=np.array(EOS_IDS, np.int32).tobytes()),
]


def make_streams() -> list[RuledStream]:
    source = np.random.default_rng(4)
    lengths = [3, 20, 40, 77, 100, 5, 33, 64]
    return [
        RuledStream(
            source.integers(3, 400, length).tolist(), RULES[number % 4], 1.0, number, num_logprobs=2, eos_ids=EOS_IDS
        )
        for number, length in enumerate(lengths)
    ]


@pytest.mark.parametrize("num_pages", [900, 45])
def test_equal_those_of_a_worker_alone(num_pages: int, tmp_path: Path) -> None:
    save_text_model(tmp_path)
    workers = Workers(tmp_path)
    expected = make_streams()
    RuledDriver(workers.decoders, workers.card, chunk=64).run(expected, NUM_TOKENS)
    (decoder,) = workers.decoders
    card = replace(workers.card, num_pages=num_pages)
    engine = Engine(generate=(card, decoder), num_workers=2, max_num_seqs=8, max_num_batched_tokens=64)
    decoder.use_rules(rules_reader(ArenaReader(engine.arena_segment)))
    try:
        for number, stream in enumerate(make_streams()):
            sampling = SamplingParams(temperature=1.0, seed=stream.seed)
            rules = encode_rules(stream.rules)
            engine.submit(number, stream.prompt, NUM_TOKENS, sampling=sampling, rules=rules, num_logprobs=2)
        engine.run()
        for number, stream in enumerate(expected):
            seen = engine.seen[number]
            assert seen.tokens == stream.output
            assert seen.finish == (FinishReason.LENGTH if stream.is_open else FinishReason.STOP)
        check_logprobs(engine, expected)
    finally:
        engine.close()


def check_logprobs(engine: Engine, expected: list[RuledStream]) -> None:
    for _, record in engine.router.sent:
        if not isinstance(record, TokenBatch):
            continue
        streams = np.frombuffer(record.stream_ids, np.uint64).tolist()
        positions = np.frombuffer(record.positions, np.int32).tolist()
        logprobs, ranks = np.frombuffer(record.logprobs, np.float32), np.frombuffer(record.ranks, np.int32)
        top_ids = np.frombuffer(record.top_ids, np.int32).reshape(len(streams), record.num_top)
        for row, (number, position) in enumerate(zip(streams, positions, strict=True)):
            told = expected[number].told[position]
            assert logprobs[row] == pytest.approx(told.logprob, abs=1e-4)
            assert ranks[row] == told.rank
            assert top_ids[row].tolist() == told.top_ids
