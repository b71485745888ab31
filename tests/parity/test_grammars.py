"""Constrained streams: what they say matches, wherever and however often their steps are computed."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from llguidance import LLMatcher
from msgspec.structs import replace
from tokenizers import Tokenizer

from ipc.kv_layout import kv_regions
from ipc.model_card import ModelCard
from ipc.step_layout import RowStatus
from ipc.token_rules import TokenRules
from tests.parity.in_process import load_card
from tests.parity.ruled_driver import RuledDriver, RuledStream
from tests.parity.schema_check import answer, check_schemas, is_valid
from tests.parity.small_models import save_decoder
from tests.parity.text_model import EOS_IDS, save_text_model
from workers.decoder import Decoder

pytestmark = pytest.mark.parity
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "list": {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 6},
    },
    "required": ["name", "list"],
    "additionalProperties": False,
}
GRAMMAR = LLMatcher.grammar_from_json_schema(SCHEMA)
NUM_TOKENS = 300


class Workers:
    """Decoders of one model that share its weights and KV pages."""

    def __init__(self, folder: Path, number: int = 1, batch_invariant: bool = False) -> None:
        card, weights = load_card(folder, "auto", "auto", batch_invariant=batch_invariant)
        self.card: ModelCard = replace(card, num_pages=900)
        self._weights = memoryview(weights).toreadonly()
        self._kv = memoryview(bytearray(kv_regions(self.card)[1]))
        self._batch_invariant = batch_invariant
        self._num_decoders = 0
        self.decoders = [self.another() for _ in range(number)]

    def another(self) -> Decoder:
        self._num_decoders += 1
        card = replace(self.card, index=self._num_decoders)  # transformers finds a decoder's attention by it
        decoder = Decoder(card, self._weights, max_num_seqs=32, batch_invariant=self._batch_invariant)
        decoder.use_pool(0, self._kv)
        decoder.warm_up()
        return decoder


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    return save_text_model(tmp_path)


def streams_for(tokenizer: Tokenizer, number: int = 5, rules: TokenRules | None = None) -> list[RuledStream]:
    rules = rules or TokenRules(grammar=GRAMMAR)
    return [
        RuledStream(tokenizer.encode(f"Say {seed}:").ids, rules, temperature=1.0, seed=seed, eos_ids=EOS_IDS)
        for seed in range(number)
    ]


def outputs(streams: list[RuledStream]) -> list[list[int]]:
    return [stream.output for stream in streams]


def test_every_finished_answer_of_random_schemas_validates(tmp_path: Path) -> None:
    tally = check_schemas(tmp_path, range(1000, 1025), 250)
    assert (tally.invalid, tally.failed) == ([], [])
    assert len(tally.valid) > 15


def test_free_streams_beside_constrained_ones_say_what_they_say_alone(tokenizer: Tokenizer, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    free = [replace_rules(stream) for stream in streams_for(tokenizer)]
    alone = [replace_rules(stream) for stream in streams_for(tokenizer)]
    bound = streams_for(tokenizer)
    RuledDriver(workers.decoders, workers.card).run(free + bound, 60)
    RuledDriver(workers.decoders, workers.card).run(alone, 60)
    assert outputs(free) == outputs(alone)


def replace_rules(stream: RuledStream) -> RuledStream:
    return RuledStream(stream.prompt, temperature=1.0, seed=stream.seed, eos_ids=EOS_IDS)


@pytest.mark.parametrize("batch_invariant", [False, True])
def test_a_matcher_is_made_again_wherever_it_is_missing(
    batch_invariant: bool, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Computed by one worker; by two in turns; and by one that dies after each few tokens, and prefills again."""
    workers = Workers(tmp_path, 2, batch_invariant)
    expected, in_turns, again = streams_for(tokenizer), streams_for(tokenizer), streams_for(tokenizer)
    RuledDriver(workers.decoders[:1], workers.card).run(expected, NUM_TOKENS)
    finished = [stream for stream in expected if not stream.is_open]
    assert len(finished) >= 3
    assert all(is_valid(answer(tokenizer, stream), SCHEMA) for stream in finished)
    RuledDriver(workers.decoders, workers.card, choose=lambda step: step // 3 % 2).run(in_turns, NUM_TOKENS)
    assert outputs(in_turns) == outputs(expected)
    for num_tokens in range(7, NUM_TOKENS, 61):
        RuledDriver([workers.another()], workers.card, chunk=5).run(again, num_tokens)
        assert outputs(again) == [output[:num_tokens] for output in outputs(expected)]
        for stream in again:
            stream.serial = 0  # nobody knows it by its number any more


def test_a_step_may_be_repeated_and_rewound(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The same worker computes again what it has computed before: its matchers are ahead of the streams."""
    workers = Workers(tmp_path)
    driver = RuledDriver(workers.decoders, workers.card)
    (stream,) = streams_for(tokenizer, 1)
    driver.run([stream], 40)
    whole = stream.output
    for length in (39, 12, 40, 0):
        stream.output = whole[:length]
        driver.run([stream], 40)
        assert stream.output == whole


def test_rows_after_the_end_harm_nobody(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A row of a stream that has just drawn its end of sequence is in flight already."""
    workers = Workers(tmp_path)
    driver = RuledDriver(workers.decoders, workers.card)
    over = RuledStream([9], TokenRules(grammar=LLMatcher.grammar_from_regex("ab?")), temperature=1.0, eos_ids=EOS_IDS)
    other = RuledStream([9], TokenRules(grammar=LLMatcher.grammar_from_regex("[0-9]{40}")), temperature=1.0)
    for stream in (over, other):
        driver.admit(stream, 16)
    while over.is_open:
        driver.step([over, other])
    over.status = RowStatus.FINE
    driver.step([over, other])
    assert over.status == RowStatus.COMPLETE
    assert over.output[-1] in EOS_IDS
    over.status = RowStatus.FINE
    over.output = [*over.output[:-1], over.prompt[0], over.prompt[0]]  # what no grammar allows
    over.num_computed -= 1
    driver.step([over, other])
    assert over.status == RowStatus.GRAMMAR_FAILED
    assert other.status == RowStatus.FINE
    assert answer(tokenizer, other).isdigit()


def test_all_ends_of_sequence_come_when_the_grammar_accepts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    streams = streams_for(tokenizer, 30, TokenRules(grammar=LLMatcher.grammar_from_regex("(ja|nein)")))
    RuledDriver(workers.decoders, workers.card).run(streams, 20)
    assert {stream.output[-1] for stream in streams} == set(EOS_IDS)
    assert {answer(tokenizer, stream) for stream in streams} == {"ja", "nein"}


@pytest.mark.parametrize("why", ["no end of sequence", "it may not come yet", "only other tokens may come"])
def test_a_complete_grammar_ends_the_row_where_no_end_can_be_drawn(why: str, tmp_path: Path) -> None:
    tokenizer = save_text_model(tmp_path, eos_ids=() if why == "no end of sequence" else EOS_IDS)
    workers = Workers(tmp_path)
    rules = TokenRules(grammar=LLMatcher.grammar_from_regex("ja"))
    if why == "it may not come yet":
        rules = TokenRules(grammar=rules.grammar, min_tokens=100, stop_ids=np.array(EOS_IDS, np.int32).tobytes())
    elif why == "only other tokens may come":
        letters = [tokenizer.token_to_id(letter) for letter in "ja"]
        rules = TokenRules(grammar=rules.grammar, allowed_ids=np.array(letters, np.int32).tobytes())
    streams = streams_for(tokenizer, 3, rules)
    RuledDriver(workers.decoders, workers.card).run(streams, 20)
    assert [stream.status for stream in streams] == 3 * [RowStatus.COMPLETE]
    assert [answer(tokenizer, stream) for stream in streams] == 3 * ["ja"]


def test_a_grammar_that_rules_leave_nothing_of_fails(tokenizer: Tokenizer, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    allowed = np.array([tokenizer.token_to_id("x")], np.int32).tobytes()
    rules = TokenRules(grammar=LLMatcher.grammar_from_regex("xxxy"), allowed_ids=allowed)
    (stream,) = streams_for(tokenizer, 1, rules)
    RuledDriver(workers.decoders, workers.card).run([stream], 20)
    assert (stream.status, answer(tokenizer, stream)) == (RowStatus.GRAMMAR_FAILED, "xxx")


def test_a_grammar_begins_after_a_sequence(tokenizer: Tokenizer, tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    mark = tokenizer.encode("\n12").ids
    assert len(mark) > 1
    after = np.array(mark, np.int32).tobytes()
    rules = TokenRules(grammar=LLMatcher.grammar_from_regex("[0-9]{8}"), grammar_after=after)
    (stream,) = streams_for(tokenizer, 1, rules)
    driver = RuledDriver(workers.decoders, workers.card)
    driver.run([stream], 10)
    free = replace_rules(stream)
    RuledDriver(workers.decoders, workers.card).run([free], 10)
    assert stream.output == free.output
    stream.output += [*mark[:1], *mark]  # as if the model had said it
    driver.run([stream], 40)
    said = tokenizer.decode(stream.output[10 + 1 + len(mark) :], skip_special_tokens=True)
    assert len(said) == 8
    assert said.isdigit()


@pytest.mark.parametrize(
    "grammar", ["no JSON", '{"grammars": []}', json.dumps({"grammars": [{"lark_grammar": "start: nowhere"}]})]
)
def test_a_grammar_that_cannot_be_compiled_fails_its_own_row(
    grammar: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    workers = Workers(tmp_path)
    (broken,) = streams_for(tokenizer, 1, TokenRules(grammar=grammar))
    (sound,) = streams_for(tokenizer, 1)
    RuledDriver(workers.decoders, workers.card).run([broken, sound], 12)
    assert (broken.status, broken.output) == (RowStatus.GRAMMAR_FAILED, [])
    assert len(sound.output) == 12


def test_grammars_fail_where_there_is_no_tokenizer(tmp_path: Path) -> None:
    save_decoder("llama", tmp_path)
    workers = Workers(tmp_path)
    streams = [RuledStream([5, 6], TokenRules(grammar=GRAMMAR)), RuledStream([5, 6])]
    RuledDriver(workers.decoders, workers.card).run(streams, 5)
    assert [stream.status for stream in streams] == [RowStatus.GRAMMAR_FAILED, RowStatus.FINE]
    assert [len(stream.output) for stream in streams] == [0, 5]


def test_no_thread_is_started_before_the_first_grammar(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A process that forks opens decoders."""
    before = set(threading.enumerate())
    workers = Workers(tmp_path)
    driver = RuledDriver(workers.decoders, workers.card)
    driver.run([replace_rules(stream) for stream in streams_for(tokenizer)], 5)
    assert set(threading.enumerate()) <= before  # earlier tests' threads may end
    driver.run(streams_for(tokenizer), 5)
    names = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name.rpartition("_")[0] for name in names} == {"grammar compiler", "grammar masks"}
