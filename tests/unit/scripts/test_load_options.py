"""The options of the load test: what is resolved, and what is refused by name."""

import pytest

from scripts.load_testing.command_line import parse_command
from scripts.load_testing.options import load_options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--requests", "0"],
        ["--rate", "-1"],
        ["--rate", "nan"],
        ["--timeout", "inf"],
        ["--duration", "0"],
        ["--target-share", "1.5"],
        ["--ramp", "0,1"],
        ["--ramp", "1.5,2"],
        ["--ramp", "one"],
        ["--mix", "chat=1"],
        ["--target-ttft-ms", "100", "--no-stream"],
        ["--target-ttft-ms", "100", "--workload", "score"],  # no request could ever miss it
        ["--url", "127.0.0.1:8000"],
        ["--url", "http://127.0.0.1:8000/v1"],
        ["--url", "http://127.0.0.1:80000"],
        ["--json", "/no/such/folder/run.json"],
        ["--html", "/"],
        ["--nonsense"],
    ],
)
def test_bad_options_end_the_program(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_command(arguments)
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err.rpartition("error: ")[2]  # before it stand all options


def test_a_ramp_of_numbers_is_of_requests_open_at_once() -> None:
    options = parse_command(["--ramp", "1,4", "--requests", "9"]).load
    assert [(step.concurrency, step.rate, step.num_requests) for step in options.steps] == [(1, 0.0, 9), (4, 0.0, 9)]


def test_a_ramp_of_rates_is_an_open_loop() -> None:
    options = parse_command(["--ramp", "0.5/s,2/s"]).load
    assert [step.rate for step in options.steps] == [0.5, 2.0]
    assert all(step.is_open_loop for step in options.steps)


def test_the_number_of_requests_grows_with_the_load() -> None:
    assert load_options(concurrency=8).num_requests == 64
    assert load_options(concurrency=100).num_requests == 400
    assert load_options(rate=10.0, duration=30.0).num_requests >= 600  # the duration ends it


def test_sizes_that_are_given_replace_those_of_the_workload() -> None:
    kind = load_options(workload="chat", max_tokens=7, lengths="fixed").kind("chat")
    assert (kind.max_tokens, kind.lengths, kind.turns) == (7, "fixed", 4)


def test_words_differ_from_run_to_run_unless_they_shall_be_the_same() -> None:
    assert parse_command([]).load.salt != ""
    assert parse_command(["--same-words"]).load.salt == ""
