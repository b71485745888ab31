"""Two runs beside each other: a real difference is seen, noise is called noise."""

from pathlib import Path

import pytest

from scripts.load_testing.compare_command import EXIT_UNREADABLE, EXIT_WORSE, compare
from scripts.load_testing.comparison import comparisons, different_options, joined
from scripts.load_testing.saved_run import SavedRun, read_run, write_run
from tests.support.load_runs import made_run


def verdicts(before: SavedRun, after: SavedRun) -> dict[str, str]:
    (step,) = comparisons(before, after)
    return {change.name: change.verdict for change in step.changes}


def test_a_slower_server_is_worse_in_everything() -> None:
    found = verdicts(made_run((4,)), made_run((4,), token_s=0.03, seed=1))
    for name in ("output tokens/s at full load", "TTFT p50, ms", "ITL p50, ms", "ITL p99, ms", "E2EL p50, ms"):
        assert found[name] == "worse", name


def test_another_draw_of_the_same_server_is_noise() -> None:
    found = verdicts(made_run((4,)), made_run((4,), seed=1))
    assert found["output tokens/s at full load"] == "within noise"
    assert found["E2EL p50, ms"] == "within noise"


def test_percentages_are_of_the_first_run() -> None:
    (step,) = comparisons(made_run((4,)), made_run((4,), token_s=0.04))
    change = next(change for change in step.changes if change.name == "ITL p50, ms")
    assert change.relative == pytest.approx(1.0, rel=0.01)
    assert change.interval is not None
    assert change.interval[0] < 1.0 < change.interval[1]


def test_of_a_handful_of_requests_nothing_is_said() -> None:
    found = verdicts(made_run((1,), num_requests=4), made_run((1,), num_requests=4, token_s=0.05))
    assert found["E2EL p50, ms"] == ""


def test_the_loads_that_both_ramps_have_are_compared() -> None:
    found = comparisons(made_run((1, 2, 4)), made_run((2, 4, 8)))
    assert [step.load for step in found] == ["2 at a time", "4 at a time"]


def test_other_options_are_pointed_out() -> None:
    assert different_options(made_run((2,)), made_run((4,))) == ["--concurrency: 2 and 4"]


def test_the_command_reads_what_a_run_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    run = made_run((4,))
    write_run(before, run)
    write_run(after, made_run((4,), token_s=0.03))
    assert read_run(before) == run
    assert compare([str(before), str(after)]) == 0
    assert compare([str(before), str(after), "--fail-if-worse"]) == EXIT_WORSE
    assert compare([str(before), str(before), "--fail-if-worse"]) == 0
    assert "worse" in capsys.readouterr().out


def test_a_file_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"figures": {}}')
    assert compare([str(other), str(other)]) == EXIT_UNREADABLE
    assert "holds no run of this program" in capsys.readouterr().err


def test_over_several_pairs_only_what_every_pair_shows_is_no_noise() -> None:
    slow, fast = made_run((4,), token_s=0.03), made_run((4,), token_s=0.02)
    middling = made_run((4,), token_s=0.025)
    (mixed,) = joined([comparisons(fast, slow, with_noise=False), comparisons(slow, fast, with_noise=False)])
    assert {change.verdict for change in mixed.changes} == {"within noise"}
    (agreed,) = joined([comparisons(fast, slow, with_noise=False), comparisons(fast, middling, with_noise=False)])
    change = next(change for change in agreed.changes if change.name == "ITL p50, ms")
    assert change.verdict == "worse"
    assert change.relative == pytest.approx(0.375, rel=0.02)


def test_runs_come_in_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        compare([str(tmp_path / "a.json")])
    assert "runs come in pairs" in capsys.readouterr().err
