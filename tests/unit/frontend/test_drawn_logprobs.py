"""Columns of log-probabilities become tokens; what comes twice counts once, and what is missing is noticed."""

import numpy as np
import pytest
from msgspec import structs

from frontend.byte_tokenizer import ByteTokenizer
from frontend.drawn_logprobs import LogprobColumns, PromptColumns, spell
from ipc.errors import ProtocolError
from ipc.messages import FinishReason
from tests.support.scripted_scheduler import prompt_rows, token_rows, with_logprobs

TOKENIZER = ByteTokenizer()


def batch_of_two() -> LogprobColumns:
    rows = token_rows((1, 0, 97, FinishReason.NONE), (2, 0, 98, FinishReason.NONE))
    told = with_logprobs(rows, 2, (-0.5, 1, [(97, -0.5), (98, -1.5)]), (-4.0, 9, [(99, -0.25)]))
    return LogprobColumns(told, 2)


def test_a_row_takes_what_it_asked_for() -> None:
    columns = batch_of_two()
    assert columns.row(0, 2) == (-0.5, 1, [(97, -0.5), (98, -1.5)])
    assert columns.row(0, 0) == (-0.5, 1, [])
    assert columns.row(1, 1) == (-4.0, 9, [(99, -0.25)])


@pytest.mark.parametrize("column", ["logprobs", "ranks", "top_ids", "top_logprobs"])
def test_columns_of_other_lengths_are_refused(column: str) -> None:
    rows = token_rows((1, 0, 97, FinishReason.NONE))
    told = with_logprobs(rows, 1, (-0.5, 1, [(97, -0.5)]))
    for cut in (b"", np.zeros(2, "<i4").tobytes()):
        with pytest.raises(ProtocolError):
            LogprobColumns(structs.replace(told, **{column: cut}), 1)


def tokens_of(columns: PromptColumns, prompt: str) -> list[tuple[bytes, float | None]]:
    spelled = spell(list(prompt.encode()), TOKENIZER, frozenset())
    return [(token.text, token.logprob) for token in columns.tokens(spelled, TOKENIZER, 1)]


def test_a_prompt_in_parts() -> None:
    columns = PromptColumns(4)
    assert columns.push(prompt_rows(1, 1, -1.0))
    assert not columns.is_complete
    assert columns.push(prompt_rows(1, 2, -2.0, -3.0))
    assert columns.is_complete
    assert tokens_of(columns, "abcd") == [(b"a", None), (b"b", -1.0), (b"c", -2.0), (b"d", -3.0)]


def test_from_the_beginning_again_counts_once() -> None:
    columns = PromptColumns(4)
    assert columns.push(prompt_rows(1, 1, -1.0, -2.0))
    assert columns.push(prompt_rows(1, 1, -8.0))
    assert columns.push(prompt_rows(1, 2, -8.0, -3.0))
    assert tokens_of(columns, "abcd")[1:] == [(b"b", -1.0), (b"c", -2.0), (b"d", -3.0)]


def test_a_gap_is_told_and_nothing_is_taken() -> None:
    columns = PromptColumns(4)
    assert not columns.push(prompt_rows(1, 2, -2.0))
    assert tokens_of(columns, "abcd")[1:] == [(b"b", None), (b"c", None), (b"d", None)]


def test_one_token_has_nothing_to_wait_for() -> None:
    assert PromptColumns(1).is_complete


def test_offsets_are_places_in_the_text() -> None:
    spelled = spell(list("aé!".encode()), TOKENIZER, frozenset())
    assert (spelled.text, spelled.offsets) == ("aé!", [0, 1, 1, 2])
