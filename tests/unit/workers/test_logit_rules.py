"""Rules change logits as transformers' processors do, and as OpenAI documents; rows without them stay as they are."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
)

from ipc.token_rules import TokenRules
from workers.logit_rules import apply_rules
from workers.rules_of_rows import RuledRow, stream_rules

VOCAB = 50
PROMPT, OUTPUT = [4, 9, 9, 30], [7, 4, 7, 7, 12]


def column(*tokens: int) -> bytes:
    return np.array(tokens, np.int32).tobytes()


def biases(*values: float) -> bytes:
    return np.array(values, np.float32).tobytes()


def make_logits(num_rows: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(num_rows).normal(0, 3, (num_rows, VOCAB)).astype(np.float32)


def ruled(rules: TokenRules, prompt: list[int] = PROMPT, output: list[int] = OUTPUT) -> RuledRow:
    tokens = np.array(prompt + output, np.int32)
    return RuledRow(0, stream_rules(rules, VOCAB), (1, 1), tokens, len(prompt), samples=True)


def applied(rules: TokenRules, output: list[int] = OUTPUT) -> npt.NDArray[np.float32]:
    logits = make_logits()
    apply_rules(logits, [0], [ruled(rules, output=output)])
    row: npt.NDArray[np.float32] = logits[0]
    return row


def processed(processors: list[Any], output: list[int] = OUTPUT) -> npt.NDArray[np.float32]:
    """What transformers makes of the logits."""
    tokens: Any = torch.tensor([PROMPT + output])
    scores: Any = torch.from_numpy(make_logits())
    result: npt.NDArray[np.float32] = LogitsProcessorList(processors)(tokens, scores)[0].numpy()
    return result


@pytest.mark.parametrize("penalty", [0.7, 1.3, 2.0])
def test_repetition_penalty(penalty: float) -> None:
    expected = processed([RepetitionPenaltyLogitsProcessor(penalty)])
    np.testing.assert_array_equal(applied(TokenRules(repetition_penalty=penalty)), expected)
    assert (expected != make_logits()[0]).sum() == len({*PROMPT, *OUTPUT})


@pytest.mark.parametrize("num_output", [0, 2, 3, 5])
def test_min_tokens(num_output: int) -> None:
    output = OUTPUT[:num_output]
    expected = processed([MinNewTokensLengthLogitsProcessor(len(PROMPT), 3, [2, 8], device="cpu")], output)
    np.testing.assert_array_equal(applied(TokenRules(min_tokens=3, stop_ids=column(2, 8)), output), expected)


@pytest.mark.parametrize("output", [[], [7], [7, 12], [4, 7, 12], [9, 4, 7, 12], [1, 2]])
def test_bad_words(output: list[int]) -> None:
    words = [[5], [7, 12], [7, 13], [12, 7], [4, 7, 12], [3, 7, 12, 1], [30, 7], [9, 30, 7, 1], [4, 9, 9, 30, 7, 6]]
    expected = processed([NoBadWordsLogitsProcessor(words)], output)
    np.testing.assert_array_equal(
        applied(TokenRules(bad_words=tuple(column(*word) for word in words)), output), expected
    )
    assert expected[5] == -np.inf


def test_logit_bias() -> None:
    rules = TokenRules(bias_ids=column(3, 4, 49), bias_values=biases(5.0, -100.0, 0.5))
    expected = processed([SequenceBiasLogitsProcessor([[[3], 5.0], [[4], -100.0], [[49], 0.5]])])
    np.testing.assert_array_equal(applied(rules), expected)


def test_allowed_ids() -> None:
    logits = applied(TokenRules(allowed_ids=column(3, 30, 8)))
    assert np.flatnonzero(np.isfinite(logits)).tolist() == [3, 8, 30]
    np.testing.assert_array_equal(logits[[3, 8, 30]], make_logits()[0, [3, 8, 30]])


def test_presence_and_frequency_are_openais_formula_over_the_output() -> None:
    expected = make_logits()[0]
    for token in range(VOCAB):
        count = OUTPUT.count(token)
        expected[token] -= count * np.float32(0.3) + (count > 0) * np.float32(-0.5)
    logits = applied(TokenRules(presence_penalty=-0.5, frequency_penalty=0.3))
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-6)


def test_all_together_in_the_documented_order() -> None:
    rules = TokenRules(
        repetition_penalty=1.5,
        presence_penalty=0.25,
        frequency_penalty=0.5,
        min_tokens=9,
        stop_ids=column(30),
        bias_ids=column(7, 30),
        bias_values=biases(2.0, 100.0),
        bad_words=(column(12, 9),),
    )
    expected = processed(
        [
            MinNewTokensLengthLogitsProcessor(len(PROMPT), 9, [30], device="cpu"),
            NoBadWordsLogitsProcessor([[12, 9]]),
            SequenceBiasLogitsProcessor([[[7], 2.0], [[30], 100.0]]),
            RepetitionPenaltyLogitsProcessor(1.5),
        ]
    )
    for token in OUTPUT:
        expected[token] -= 0.5
    for token in set(OUTPUT):
        expected[token] -= 0.25
    np.testing.assert_allclose(applied(rules), expected, rtol=0, atol=1e-6)


def test_rows_go_their_own_ways_and_others_stay_as_they_are() -> None:
    several = [
        ruled(TokenRules(repetition_penalty=1.2, presence_penalty=1.0)),
        ruled(TokenRules(repetition_penalty=0.8, frequency_penalty=-2.0), [1], [2, 2]),
        ruled(TokenRules(allowed_ids=column(6)), [], []),
    ]
    together = make_logits(5)
    apply_rules(together, [4, 0, 2], several)
    alone = make_logits(5)
    for place, row in zip([4, 0, 2], several, strict=True):
        apply_rules(alone[place : place + 1], [0], [row])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[[1, 3]], make_logits(5)[[1, 3]])


def test_rules_that_cannot_be_used_break_their_own_row() -> None:
    logits = make_logits(2)
    row = ruled(TokenRules())
    apply_rules(logits, [1], [RuledRow(0, None, row.stream, row.tokens, row.num_prompt, samples=True)])
    assert np.isnan(logits[1]).all()
    np.testing.assert_array_equal(logits[0], make_logits(2)[0])
