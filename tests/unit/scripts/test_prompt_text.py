"""Prompts are repeatable, of the wanted length, and share exactly what they are told to share."""

from itertools import islice

import pytest

from scripts.load_testing.prompt_text import PromptText, arrival_gaps


def test_same_seed_same_text_and_other_index_other_text() -> None:
    assert PromptText(1).words("load", 3, 20) == PromptText(1).words("load", 3, 20)
    texts = {PromptText(seed).words("load", index, 20) for seed in (1, 2) for index in range(50)}
    assert len(texts) == 100


def test_another_salt_has_other_words() -> None:
    assert PromptText(1, "a").words("load", 3, 20) != PromptText(1, "b").words("load", 3, 20)


def test_shared_words_come_first() -> None:
    text = PromptText(1)
    first, second = (text.with_shared("load", index, 30, 12).split() for index in (0, 1))
    assert len(first) == len(second) == 30
    assert first[:12] == second[:12]
    assert first[12:] != second[12:]


def test_arrivals_have_the_wanted_rate() -> None:
    gaps = list(islice(arrival_gaps(5, 4.0), 4000))
    assert sum(gaps) / len(gaps) == pytest.approx(0.25, rel=0.05)
    assert gaps == list(islice(arrival_gaps(5, 4.0), 4000))
