"""What `scripts/tune` makes of what it measured: the frontier, the plan, and a file that zerolane reads back."""

import asyncio
from datetime import date
from pathlib import Path

import msgspec
import pytest

from scripts.tuning.candidate import DEFAULTS, Candidate
from scripts.tuning.comparison import Comparison, Outcome, Ratio, judge
from scripts.tuning.frontier import frontier
from scripts.tuning.objective import Objective, Point
from scripts.tuning.options import parse_options
from scripts.tuning.plan import TooLittleTime, confirm_stage, make_plan
from scripts.tuning.report import text, write_json
from scripts.tuning.result import Result
from scripts.tuning.serve_file import serve_file
from scripts.tuning.space import Axis, make_axes
from scripts.tuning.trial_servers import serve_arguments
from scripts.tuning.tuning import Tuning
from zerolane.config_file import read_config_file

BEST = DEFAULTS.changed({"max_num_batched_tokens": 1024, "workers": 2, "threads": 1})


def point(throughput: float, ttft_ms: float | None = 100.0, end_to_end_ms: float = 1000.0) -> Point:
    return Point(
        throughput=throughput,
        goodput=0.0,
        ttft_ms=ttft_ms,
        end_to_end_ms=end_to_end_ms,
        num_requests=10,
        seconds=1.0,
    )


def comparison(outcome: Outcome, challenger: Candidate = BEST, incumbent: Candidate = DEFAULTS) -> Comparison:
    ratio = Ratio(1.08, 1.05, 1.11)
    return Comparison(incumbent=incumbent, challenger=challenger, outcome=outcome, ratio=ratio)


def result(
    confirmation: Outcome | None, best: Candidate = BEST, was_interrupted: bool = False, axes: list[Axis] | None = None
) -> Result:
    step = DEFAULTS.changed({"max_num_batched_tokens": 1024})
    return Result(
        command="scripts/tune 'a b'",
        load="--workload=chat",
        models=["chat=./model", "fake:score"],
        base={"kv_cache_memory": "1GiB", "allowed_origins": ("https://a.example",), "fair_shares": False},
        objective=Objective(target_ttft_ms=200.0),
        axes=axes or make_axes(("batched-tokens", "cores", "frontends"), 4, 16, is_generating=True),
        best=best,
        comparisons=[comparison(Outcome.BETTER, step), comparison(Outcome.PROMISING, BEST, step)],
        measured=[(DEFAULTS, point(100)), (BEST, point(110, 120)), (step, point(105, 130)), (BEST, point(112, 120))],
        confirmation=comparison(confirmation) if confirmation else None,
        was_interrupted=was_interrupted,
        took_s=200.0,
    )


@pytest.mark.parametrize(
    ("confirmation", "was_interrupted", "chosen"),
    [
        (Outcome.BETTER, False, BEST),
        (Outcome.PROMISING, False, DEFAULTS),  # the search may believe it, the file may not
        (Outcome.WORSE, False, DEFAULTS),
        (Outcome.FAILED, False, DEFAULTS),
        (None, False, DEFAULTS),
        (None, True, BEST),
        (Outcome.BETTER, True, BEST),  # the interruption came while the servers were ended
    ],
)
def test_only_what_was_confirmed_is_chosen_unless_it_was_interrupted(
    confirmation: Outcome | None, was_interrupted: bool, chosen: Candidate
) -> None:
    assert result(confirmation, was_interrupted=was_interrupted).chosen == chosen


def test_a_best_that_could_not_be_measured_again_is_said_and_not_written() -> None:
    found = result(None)
    assert found.chosen == DEFAULTS
    assert "could not be measured again" in found.verdict
    assert "Nothing that was tried" in result(None, best=DEFAULTS).verdict


def test_the_file_is_read_back_by_the_server(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(serve_file(result(Outcome.BETTER), date(2026, 1, 2)))
    found = read_config_file(path)
    assert found.models == ["chat=./model", "fake:score"]
    assert found.values == {
        "kv_cache_memory": "1GiB",
        "allowed_origins": ("https://a.example",),
        "fair_shares": False,
        **dict(BEST.changes),
    }


def test_the_file_says_why() -> None:
    written = serve_file(result(Outcome.BETTER), date(2026, 1, 2))
    assert "# Written on 2026-01-02 by: scripts/tune 'a b'" in written
    assert "# max-num-batched-tokens 1024. Tried:\n#   max-num-batched-tokens 1024 instead of 512: 1.080" in written
    assert "# frontends 1: the default; nothing else was tried" in written
    assert max(len(line) for line in written.splitlines()) <= 120


def test_defaults_are_written_as_no_settings_at_all(tmp_path: Path) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(serve_file(result(Outcome.EQUAL)))
    assert "max_num_batched_tokens" not in read_config_file(path).values
    assert "So these are the defaults." in " ".join(path.read_text().replace("#", " ").split())


def test_the_report_shows_the_frontier_and_is_json_for_programs(tmp_path: Path) -> None:
    assert "* max-num-batched-tokens 1024, threads 1, workers 2  <- chosen" in text(result(Outcome.BETTER))
    write_json(tmp_path / "r.json", result(Outcome.BETTER))
    report = msgspec.json.decode((tmp_path / "r.json").read_bytes())
    assert report["chosen"] == dict(BEST.changes)
    assert (report["confirmation"]["outcome"], report["confirmation"]["incumbent"]) == ("better", {})
    assert [one["throughput"] for one in report["frontier"]] == [111.0, 105.0, 100.0]


def test_the_frontier_is_what_nobody_beats_in_both() -> None:
    a, b, c = (DEFAULTS.changed({"frontends": number}) for number in (2, 3, 4))
    found = frontier([(a, point(100, 50)), (b, point(120, 80)), (c, point(90, 60)), (b, point(140, 100))])
    assert [(one.candidate, one.throughput, one.latency_ms) for one in found] == [
        (b, 130, 90),
        (a, 100, 50),
        (c, 90, 60),
    ]
    assert [one.beaten_by for one in found] == ["", "", "frontends 2"]
    scores = frontier([(a, point(10, None, 300.0)), (b, point(9, None, 310.0))])
    assert [one.beaten_by for one in scores] == ["", "frontends 2"]


def test_a_target_that_both_miss_is_judged_by_how_far() -> None:
    objective = Objective(target_ttft_ms=50.0)
    assert judge(objective, [point(100, 200.0)], [point(90, 100.0)], 0.03) is Outcome.BETTER
    assert judge(objective, [point(100, 100.0)], [point(900, 200.0)], 0.03) is Outcome.WORSE
    assert judge(objective, [point(100, 100.0)], [point(90, 40.0)], 0.03) is Outcome.BETTER


def test_the_plan_keeps_the_limit_and_says_when_it_is_too_short() -> None:
    plan = make_plan(left_s=230.0, limit_s=240.0, start_s=5.0, shortest_s=1.0, num_axes=4)
    assert plan.search_s + plan.confirm_s == pytest.approx(230.0)
    assert 1.5 <= plan.short_s <= 3.0
    stage = confirm_stage(plan.confirm_s, plan.short_s, 1.0)
    assert stage.num_pairs >= 6
    assert 2 * stage.num_pairs * stage.seconds <= plan.confirm_s
    with pytest.raises(TooLittleTime, match="--time-limit"):
        make_plan(left_s=200.0, limit_s=240.0, start_s=40.0, shortest_s=30.0, num_axes=4)


def test_axes_hold_the_defaults_and_leave_out_what_is_fixed_or_useless() -> None:
    axes = make_axes(("batched-tokens", "cores", "streams", "frontends"), 2, 8, True, fixed=["frontends"])
    assert [axis.name for axis in axes] == ["batched-tokens", "cores", "streams"]
    assert [axis.choices[axis.place_of(DEFAULTS)] for axis in axes] == [
        {"max_num_batched_tokens": 512},
        {"workers": 1, "threads": 0},
        {"max_num_seqs": 256},
    ]
    assert axes[1].choices == (
        {"workers": 1, "threads": 1},
        {"workers": 1, "threads": 0},
        {"workers": 2, "threads": 1},
    )
    assert make_axes(("streams", "frontends", "cores"), 1, 8, is_generating=False) == []


def test_settings_become_arguments() -> None:
    assert serve_arguments({"max_num_seqs": 8, "workers": 2}) == ["--max-num-seqs=8", "--workers=2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sweep", "cores,nonsense"], "nonsense"),
        (["--time-limit", "5"], "--time-limit"),
        (["--objective", "goodput"], "--target-ttft-ms"),
        (["--load-args=--ramp 1,2"], "--load-args: no --ramp"),
        (["--load-args=--requests 500"], "--load-args: no --requests"),
        (["--load-args=--html page.html"], "--load-args: no --html"),
        (["--concurrency", "0"], "--concurrency"),
        (["./no-such-folder"], "no such folder"),
        (["--output", "/no/such/folder/serve.yaml"], "--output: there is no folder"),
        (["--json", "/no/such/folder/all.json"], "--json: there is no folder"),
    ],
)
def test_bad_options_are_refused_by_name(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_key_in_the_base_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("api-key: [secret-word]\n")
    with pytest.raises(SystemExit):
        parse_options(["--config", str(base)])
    said = capsys.readouterr().err
    assert "api_key" in said
    assert "secret-word" not in said


def test_what_the_base_file_says_is_not_swept(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("models: ['fake:generate']\nmax-num-seqs: 32\n")

    async def axes() -> list[str]:
        return [axis.name for axis in Tuning(parse_options(["--config", str(base)])).result().axes]

    assert "streams" not in asyncio.run(axes())
