"""Masks of rows: who gets one, and what they say where a stream stands."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from llguidance import LLMatcher
from tokenizers import Tokenizer

from ipc.fake_card import fake_card
from ipc.grammar_limits import LIMITS
from ipc.model_card import ModelCard
from ipc.step_layout import RowFlag, RowStatus, StepColumns, StepHeader, StepKind, StepShape, step_bytes, write_header
from ipc.token_rules import TokenRules
from tests.parity.text_model import EOS_IDS, WIDTH, learn_tokenizer
from workers import grammar_masks
from workers.draw_rows import draw_rows
from workers.grammar_masks import GrammarMasks, RowMask, after_first, get_masks
from workers.grammar_matchers import CompiledGrammars
from workers.grammar_tokenizer import grammar_tokenizer
from workers.rules_of_rows import RuledRow, stream_rules

DIGITS = LLMatcher.grammar_from_regex("[0-9]{2,3}")

MANY_STATES = LLMatcher.grammar_from_json_schema(
    {
        "type": "object",
        "properties": {"id": {"type": "string", "pattern": "^[ab]*a[ab]{24}$"}},
        "required": ["id"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn_tokenizer()


@pytest.fixture
def masks(tokenizer: Tokenizer, tmp_path: Path) -> GrammarMasks:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return GrammarMasks(grammar_tokenizer(card_in(tmp_path)), WIDTH, EOS_IDS, 4)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grammars are compiled in time, however busy the machine is, unless a test is about those that are not."""
    monkeypatch.setattr(grammar_masks, "LATE_S", 60.0)


def card_in(folder: Path, vocab_size: int = WIDTH) -> ModelCard:
    fake = fake_card(0, "text", "fake:generate", 0, 16, 0)
    return ModelCard(
        index=0,
        name=fake.name,
        path=str(folder),
        task="generate",
        architecture="LlamaForCausalLM",
        dtype="float32",
        vocab_size=vocab_size,
        max_model_len=64,
    )


def row(output: list[int], grammar: str = DIGITS, number: int = 0, samples: bool = True) -> RuledRow:
    rules = stream_rules(TokenRules(grammar=grammar), WIDTH)
    return RuledRow(number, rules, (1, number + 1), np.array(output, np.int32), 0, samples)


def texts(tokenizer: Tokenizer, mask: RowMask) -> set[str]:
    return {tokenizer.decode([token], skip_special_tokens=False) for token in np.flatnonzero(mask.allowed).tolist()}


def test_masks_follow_the_streams(masks: GrammarMasks, tokenizer: Tokenizer) -> None:
    one, two = tokenizer.encode("1").ids, tokenizer.encode("2").ids
    ends = {tokenizer.id_to_token(token) for token in EOS_IDS}
    first, second = get_masks(masks.begin([row([]), row(one, number=3)], 1))
    assert (first.row, second.row) == (0, 3)
    assert {str(digit) for digit in range(10)} <= texts(tokenizer, first)
    assert not texts(tokenizer, first) & ends
    assert not first.is_complete
    (third,) = get_masks(masks.begin([row([*one, *two])], 1))
    assert texts(tokenizer, third) == {str(digit) for digit in range(10)} | ends
    assert third.is_complete
    (fourth,) = get_masks(masks.begin([row([*one, *two, *one])], 1))
    assert texts(tokenizer, fourth) == ends


def test_only_rows_that_are_drawn_get_one(masks: GrammarMasks) -> None:
    assert masks.begin([], 1) is None
    assert masks.begin([row([], samples=False), row([], grammar="", number=1)], 1) is None
    assert [mask.row for mask in get_masks(masks.begin([row([], samples=False), row([], number=1)], 1))] == [1]


@pytest.mark.parametrize(("last", "is_complete"), [("<|turn|>", True), ("h", False)])
def test_nothing_is_allowed_after_the_end(
    last: str, is_complete: bool, masks: GrammarMasks, tokenizer: Tokenizer
) -> None:
    output = tokenizer.encode(f"12{last}").ids
    (mask,) = get_masks(masks.begin([row(output)], 1))
    assert not mask.allowed.any()
    assert mask.is_complete == is_complete


def test_more_streams_than_matchers_are_kept(masks: GrammarMasks, tokenizer: Tokenizer) -> None:
    (digit,) = tokenizer.encode("7").ids
    for output in ([], [digit], [digit, digit]):
        found = get_masks(masks.begin([row(output, number=number) for number in range(20)], 1))
        assert all(mask.allowed[digit] and mask.is_complete == (len(output) == 2) for mask in found)


class SlowCompiler:
    """Compiles a grammar when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.num_compiled = 0
        self._compile = CompiledGrammars._compile
        monkeypatch.setattr(CompiledGrammars, "_compile", lambda grammars, text: self._wait(grammars, text))

    def _wait(self, grammars: CompiledGrammars, text: str) -> LLMatcher:
        assert self.go_on.wait(60)
        self.num_compiled += 1
        return self._compile(grammars, text)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowCompiler]:
    monkeypatch.setattr(grammar_masks, "LATE_S", 0.05)
    compiler = SlowCompiler(monkeypatch)
    yield compiler
    compiler.go_on.set()


def spend_lexer(masks: GrammarMasks, tokenizer: Tokenizer, number: int) -> RuledRow:
    """Let streams of MANY_STATES run, none of them long, until one had to be given a grammar compiled anew."""
    draw = random.Random(0)
    kept = masks._compiled
    assert kept is not None
    first = kept.get(MANY_STATES)
    for stream in range(number, number + 3000):
        ids = tokenizer.encode('{"id":"' + "".join(draw.choices("ab", k=40))).ids
        for length in range(0, len(ids) + 1, 5):
            last = row(ids[:length], MANY_STATES, number=stream)
            (mask,) = get_masks(masks.begin([last], 1))
            assert mask.allowed.any()
        if kept.get(MANY_STATES) is not first:
            return last
    raise AssertionError("llguidance's limit was never reached")


def test_what_all_streams_did_to_a_lexer_fails_none_of_them(masks: GrammarMasks, tokenizer: Tokenizer) -> None:
    """Copies of a matcher share its lexer: after about a thousand streams every stream of the schema failed."""
    early = tokenizer.encode('{"id":"').ids
    (before,) = get_masks(masks.begin([row(early, MANY_STATES)], 1))
    last = spend_lexer(masks, tokenizer, 1)
    (after, again) = sorted(get_masks(masks.begin([row(early, MANY_STATES), last], 1)))
    assert np.array_equal(after.allowed, before.allowed)
    assert again.allowed.any()
    letters = tokenizer.encode("abaabbababbabaaabbabababbabbaababbaabbab").ids
    for length in range(len(letters) + 1):  # the early stream's own matcher is one of the spent ones
        (mask,) = get_masks(masks.begin([row([*early, *letters[:length]], MANY_STATES)], 1))
        assert mask.allowed.any()


def test_a_stream_that_reaches_a_limit_alone_fails(
    masks: GrammarMasks, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "max_lexer_states", 60)
    compiler = SlowCompiler(monkeypatch)
    compiler.go_on.set()
    output = tokenizer.encode('{"id":"' + "abaabbababbabaaabbab" * 4).ids
    (mask,) = get_masks(masks.begin([row(output, MANY_STATES)], 1))
    assert drawn(mask) == (-1, RowStatus.GRAMMAR_FAILED)
    assert compiler.num_compiled == 2


def test_what_a_grammar_does_not_allow_is_no_reason_to_compile_it_anew(
    masks: GrammarMasks, tokenizer: Tokenizer, slow: SlowCompiler
) -> None:
    slow.go_on.set()
    for text in ("h", "123h", "1234", "12"):
        get_masks(masks.begin([row(tokenizer.encode(text).ids)], 1))
    assert slow.num_compiled == 1


def test_a_row_whose_grammar_is_not_compiled_comes_later(
    masks: GrammarMasks, tokenizer: Tokenizer, slow: SlowCompiler
) -> None:
    """A hostile grammar held up the steps of everybody for seconds, and the worker was killed as hanging."""
    asked = [row([]), row([], LLMatcher.grammar_from_regex("[ab]"), number=1)]
    begun = time.monotonic()
    found = get_masks(masks.begin(asked, 1))
    assert grammar_masks.LATE_S <= time.monotonic() - begun < 2
    assert [drawn(mask) for mask in found] == 2 * [(-1, RowStatus.LATER)]
    slow.go_on.set()
    while any(mask.is_late for mask in found):
        found = get_masks(masks.begin(asked, 1))
    assert [drawn(mask)[1] for mask in found] == 2 * [RowStatus.FINE]
    assert {str(digit) for digit in range(10)} <= texts(tokenizer, min(found))


def drawn(mask: RowMask) -> tuple[int, RowStatus]:
    """What becomes of a row with this mask."""
    shape = StepShape(StepKind.GENERATE, num_rows=1, num_tokens=1, table_width=1)
    columns: StepColumns = write_header(memoryview(bytearray(step_bytes(shape))), StepHeader(0, 0, 0, shape))
    columns.num_new[:], columns.flags[:], columns.num_logprobs[:] = 1, RowFlag.SAMPLE, -1
    draw_rows(columns, np.array([0]), torch.zeros(1, WIDTH), [], [mask._replace(row=0)])
    return int(columns.sampled[0]), RowStatus(int(columns.row_status[0]))


def test_a_grammar_is_not_waited_for_again_and_again(
    masks: GrammarMasks, slow: SlowCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mask,) = get_masks(masks.begin([row([])], 1))
    assert mask.is_late
    monkeypatch.setattr(grammar_masks, "COMPILE_S", 0.0)
    (mask,) = get_masks(masks.begin([row([])], 1))
    assert drawn(mask) == (-1, RowStatus.GRAMMAR_FAILED)
    assert slow.num_compiled == 0


def test_a_grammar_compiled_before_the_model_ends_comes_in_time(
    masks: GrammarMasks, slow: SlowCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_masks, "LATE_S", 0.0)
    pending = masks.begin([row([])], 1)
    assert pending is not None
    slow.go_on.set()
    assert not pending.model_end.done()
    assert pending.masks.result(60)[0].allowed.any()


def test_grammars_that_nobody_uses_any_more_are_not_compiled(masks: GrammarMasks, slow: SlowCompiler) -> None:
    grammars = [LLMatcher.grammar_from_regex(f"a{{{number + 1}}}") for number in range(12)]
    for grammar in grammars:
        masks.begin([row([], grammar, samples=False)], 1)
    slow.go_on.set()
    found = get_masks(masks.begin([row([], grammars[-1])], 1))
    while found[0].is_late:
        found = get_masks(masks.begin([row([], grammars[-1])], 1))
    assert found[0].allowed.any()
    assert slow.num_compiled <= 2 + 2 * 4  # those that had begun, and those that are kept


@pytest.mark.parametrize(
    ("output", "sequence", "expected"),
    [
        ([1, 2], [], [1, 2]),
        ([1, 2], [2], []),
        ([1, 2, 2, 3], [2, 3], []),
        ([1, 2, 3, 2, 3], [2, 3], [2, 3]),
        ([1, 2], [2, 3], None),
        ([], [1], None),
    ],
)
def test_what_follows_a_sequence(output: list[int], sequence: list[int], expected: list[int] | None) -> None:
    found = after_first(np.array(output, np.int32), np.array(sequence, np.int32))
    assert (None if found is None else found.tolist()) == expected


def test_the_end_of_grammars_is_a_number_of_its_own(tokenizer: Tokenizer, tmp_path: Path) -> None:
    size = tokenizer.get_vocab_size()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for vocab_size, most in ((WIDTH, WIDTH), (size, size + 1)):
        made = grammar_tokenizer(card_in(tmp_path, vocab_size))
        assert made is not None
        assert (made.end, made.tokens.vocab_size, made.tokens.eos_token) == (size, most, size)


@pytest.mark.parametrize("text", [None, "{}", "no JSON", '{"model": {"vocab": {"a": 0}, "type": "unheard of"}}'])
def test_other_tokenizers_have_no_grammars(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "tokenizer.json").write_text(text)
    assert grammar_tokenizer(card_in(tmp_path)) is None
    masks = GrammarMasks(None, WIDTH, EOS_IDS, 4)
    (mask,) = get_masks(masks.begin([row([])], 1))
    assert not mask.allowed.any()
    assert not mask.is_complete
