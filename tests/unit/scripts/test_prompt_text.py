"""Prompts are repeatable, of the wanted length, and share exactly what they are told to share."""

from itertools import islice

import pytest

from scripts.load_testing.bodies import Bodies, WordLength
from scripts.load_testing.options import parse_options
from scripts.load_testing.prompt_text import PromptText, arrival_gaps


def test_same_seed_same_text_and_other_index_other_text() -> None:
    assert PromptText(1).words("load", 3, 20) == PromptText(1).words("load", 3, 20)
    texts = {PromptText(seed).words("load", index, 20) for seed in (1, 2) for index in range(50)}
    assert len(texts) == 100


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


def test_words_follow_from_the_measured_length() -> None:
    options = parse_options(["--prompt-tokens", "110", "--shared-prefix-tokens", "30"])
    body = Bodies(options, "m", WordLength(per_word=1.5, around=5.0)).body("load", 0)
    assert len(body["prompt"].split()) == 70
    again = Bodies(options, "m", WordLength(per_word=1.5, around=5.0)).body("load", 1)
    assert body["prompt"].split()[:20] == again["prompt"].split()[:20]
    assert body["prompt"].split()[20] != again["prompt"].split()[20]


def test_a_score_body_has_pairs_of_its_own() -> None:
    options = parse_options(["--endpoint", "score", "--pairs", "3", "--prompt-tokens", "40"])
    bodies = Bodies(options, "m", WordLength())
    texts = [text for index in (0, 1) for text in bodies.body("load", index)["text_2"]]
    assert len(set(texts)) == 6


@pytest.mark.parametrize(
    "arguments",
    [["--requests", "0"], ["--rate", "-1"], ["--shared-prefix-tokens", "128"], ["--duration", "0"], ["--nonsense"]],
)
def test_bad_options_end_the_program(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
