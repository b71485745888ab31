"""Rules are read once, in each life of a scheduler, and come with the right tokens."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from ipc.errors import ProtocolError
from ipc.step_layout import RowFlag, StepColumns, StepKind, StepShape
from ipc.token_rules import TokenRules, encode_rules
from tests.parity.plan_driver import make_columns
from workers import rules_of_rows
from workers.rules_of_rows import RulesOfRows, stream_rules

VOCAB = 100


class Blobs:
    """Encoded rules, by the first word of their handle."""

    def __init__(self, *rules: TokenRules) -> None:
        self.blobs = [encode_rules(one) for one in rules]
        self.num_read = 0

    def read(self, words: npt.NDArray[np.uint64]) -> bytes:
        self.num_read += 1
        return self.blobs[int(words[0])]


def make_step(rules_ids: Sequence[int], num_history: int = 100, life: int = 1) -> StepColumns:
    """Row r has r + 1 tokens, the first of them at position 10 * r; tokens and history count up."""
    counts = list(range(1, len(rules_ids) + 1))
    columns = make_columns(StepShape(StepKind.GENERATE, len(counts), sum(counts), 4, num_history=num_history))
    columns.num_new[:] = counts
    columns.start[:] = [10 * row for row in range(len(counts))]
    columns.token_ids[:] = 50 + np.arange(sum(counts))
    columns.history[:] = np.arange(num_history) % 40
    columns.num_prompt[:] = 5
    columns.serial[:] = [7 + row for row in range(len(counts))]
    columns.rules_id[:] = rules_ids
    columns.rules_handle[:, 0] = np.maximum(np.array(rules_ids) - 1, 0)
    columns.rules_handle[:, 3] = life
    columns.flags[-1] = RowFlag.SAMPLE
    return columns


def rules_of(blobs: Blobs) -> RulesOfRows:
    rules = RulesOfRows(VOCAB)
    rules.use(blobs.read)
    return rules


def test_rows_come_with_their_own_tokens() -> None:
    columns = make_step([1, 0, 2, 1])
    rows = rules_of(Blobs(TokenRules(min_tokens=1), TokenRules(min_tokens=2))).of(columns, columns.token_ids)
    assert [row.row for row in rows] == [0, 2, 3]
    assert [row.rules.given.min_tokens for row in rows if row.rules] == [1, 2, 1]
    assert [row.tokens.tolist() for row in rows] == [
        [50],
        [*range(20), 53, 54, 55],
        [*range(20, 40), *range(10), 56, 57, 58, 59],
    ]
    assert rows[1].output.tolist() == [*range(5, 20), 53, 54, 55]
    assert [row.stream for row in rows] == [(1, 7), (1, 9), (1, 10)]
    assert [row.samples for row in rows] == [False, False, True]


def test_rows_without_rules_cost_nothing() -> None:
    blobs = Blobs()
    columns = make_step([0, 0], num_history=0)
    assert rules_of(blobs).of(columns, columns.token_ids) == []
    assert blobs.num_read == 0


def test_equal_rules_are_read_once_in_a_schedulers_life() -> None:
    blobs = Blobs(TokenRules(min_tokens=1), TokenRules(min_tokens=2))
    rules = rules_of(blobs)
    for _ in range(3):
        columns = make_step([1, 2, 1])
        rules.of(columns, columns.token_ids)
    assert blobs.num_read == 2
    blobs.blobs.reverse()  # another scheduler numbers its own rules, from 1 again
    columns = make_step([1, 2], life=2)
    rows = rules.of(columns, columns.token_ids)
    assert [row.rules.given.min_tokens for row in rows if row.rules] == [2, 1]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs(*(TokenRules(min_tokens=1, grammar="g" * number) for number in range(1, 6)))
    monkeypatch.setattr(rules_of_rows, "MOST_KEPT", 3)
    rules = rules_of(blobs)
    for rules_id, num_read in [(1, 1), (2, 2), (3, 3), (1, 3), (4, 4), (1, 4), (2, 5)]:
        columns = make_step([rules_id])
        rules.of(columns, columns.token_ids)
        assert blobs.num_read == num_read
    monkeypatch.setattr(rules_of_rows, "MOST_KEPT_BYTES", 1)
    columns = make_step([5])
    (row,) = rules.of(columns, columns.token_ids)  # used, though too large to be kept
    assert row.rules is not None
    assert row.rules.given.grammar == "ggggg"


def test_a_history_that_is_too_short_is_refused() -> None:
    columns = make_step([0, 1], num_history=9)
    with pytest.raises(ProtocolError, match="history"):
        rules_of(Blobs(TokenRules(min_tokens=1))).of(columns, columns.token_ids)


@pytest.mark.parametrize(
    "rules",
    [
        TokenRules(allowed_ids=np.array([VOCAB], np.int32).tobytes()),
        TokenRules(bad_words=(np.array([3, -1], np.int32).tobytes(),)),
        TokenRules(stop_ids=b"123"),
        TokenRules(bias_ids=b"\x01\0\0\0"),
    ],
)
def test_rules_that_cannot_be_used_are_their_rows_alone(rules: TokenRules) -> None:
    with pytest.raises(ProtocolError):
        stream_rules(rules, VOCAB)
    columns = make_step([1, 2])
    rows = rules_of(Blobs(rules, TokenRules(min_tokens=2))).of(columns, columns.token_ids)
    assert rows[0].rules is None
    assert rows[1].rules is not None


def test_a_blob_that_is_none_is_its_rows_alone() -> None:
    blobs = Blobs(TokenRules(min_tokens=1))
    blobs.blobs[0] = b"\xc1 no msgpack"
    columns = make_step([1])
    (row,) = rules_of(blobs).of(columns, columns.token_ids)
    assert row.rules is None


def test_without_a_reader_rules_are_refused() -> None:
    columns = make_step([1])
    with pytest.raises(ProtocolError, match="where to read"):
        RulesOfRows(VOCAB).of(columns, columns.token_ids)
