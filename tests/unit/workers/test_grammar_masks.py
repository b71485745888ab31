"""Masks of rows: who gets one, and what they say where a stream stands."""

from pathlib import Path

import numpy as np
import pytest
from llguidance import LLMatcher
from tokenizers import Tokenizer

from ipc.fake_card import fake_card
from ipc.model_card import ModelCard
from ipc.token_rules import TokenRules
from tests.parity.text_model import EOS_IDS, WIDTH, learn_tokenizer
from workers.grammar_masks import GrammarMasks, RowMask, after_first, get_masks
from workers.grammar_tokenizer import grammar_tokenizer
from workers.rules_of_rows import RuledRow, stream_rules

DIGITS = LLMatcher.grammar_from_regex("[0-9]{2,3}")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn_tokenizer()


@pytest.fixture
def masks(tokenizer: Tokenizer, tmp_path: Path) -> GrammarMasks:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return GrammarMasks(grammar_tokenizer(card_in(tmp_path)), WIDTH, EOS_IDS, 4)


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
