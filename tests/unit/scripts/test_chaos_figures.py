"""How `scripts/chaos` judges: pauses, differences, leaks, agreement with /metrics."""

import pytest

from ipc.operator_protocol import ProcessStatus, QueueStatus, Status
from scripts.chaos_testing.answers import Answer, ChoiceText
from scripts.chaos_testing.criteria import criteria, pause_criteria, scaling_criteria
from scripts.chaos_testing.http_client import Attempt
from scripts.chaos_testing.inventory import Inventory, leaks
from scripts.chaos_testing.metrics import Metrics, disagreements
from scripts.chaos_testing.options import parse_options
from scripts.chaos_testing.pauses import largest_gap, pauses
from scripts.chaos_testing.questions import Question, make_questions
from scripts.chaos_testing.reference import Reference
from scripts.chaos_testing.scaling import Change, StepWatch
from scripts.chaos_testing.soak import Soak

QUESTION = Question("q", "/v1/completions", b"{}", 1)
ANSWER = Answer((ChoiceText("abc", "stop"),), 2, 3)


def attempt(**fields: object) -> Attempt:
    return Attempt(QUESTION, **{"began": 0.0, "ended": 10.0, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("times", "moment", "gap"),
    [
        ([1.0, 2.0, 5.0, 5.5], 3.0, 3.0),  # the gap it fell into
        ([1.0, 2.0, 2.1, 6.0], 1.5, 3.9),  # a later one within the window
        ([1.0, 2.0, 8.0, 20.0], 1.5, 6.0),  # one that begins after the window does not count
        ([4.0, 4.5], 1.0, 3.0),  # it waited for its first token
    ],
)
def test_largest_gap(times: list[float], moment: float, gap: float) -> None:
    assert largest_gap(times, moment) == pytest.approx(gap)


def test_pauses_are_over_streams_that_were_open() -> None:
    attempts = [
        attempt(is_streamed=True, text_times={0: [1.0, 3.0], 1: [1.0, 1.5]}),  # its second choice had ended
        attempt(is_streamed=True, text_times={0: [2.5, 3.0]}, began=2.2),  # not there yet
        attempt(is_streamed=True, text_times={0: [1.0, 2.5]}, is_excused=True),
        attempt(text_times={}),
    ]
    found = pauses(attempts, [2.0])
    assert found is not None
    assert (found.count, found.largest) == (1, 2.0)
    assert pauses(attempts, []) is None


def test_differences_show_where_answers_part() -> None:
    other = Answer((ChoiceText("abd", "stop"),), 2, 3)
    reference = Reference([attempt(answer=ANSWER), attempt(answer=other)])
    assert reference.differences([attempt(answer=ANSWER), attempt(failure="lost")]) == []
    (difference,) = reference.differences([attempt(answer=other)])
    assert "abc" in difference.expected
    assert "abd" in difference.got


def inventory(num_processes: int, descriptors: int, supervisor_mib: float) -> Inventory:
    kinds = {"worker": {"socket": descriptors}}
    return Inventory(num_processes, 0, 3, kinds, {"worker": {"/memfd:weights": 1}}, {"supervisor": supervisor_mib})


def test_leaks_are_named() -> None:
    before = inventory(5, 7, 40.0)
    assert leaks(before, before) == []
    assert leaks(before, inventory(4, 6, 10.0)) == []
    assert leaks(before, inventory(6, 9, 90.0)) == [
        "processes: 5 before, 6 after",
        "descriptors of a worker to socket: 7 before, 9 after",
        "memory of the supervisor: 50.0 MiB more",
    ]
    assert leaks(before, inventory(5, 7, 90.0), frozenset({"supervisor"})) == []


METRICS = """# TYPE zerolane_worker_deaths counter
zerolane_worker_deaths_total 2.0
# TYPE zerolane_process_restarts counter
zerolane_process_restarts_total{role="worker"} 1.0
zerolane_process_restarts_total{role="spare"} 1.0
# TYPE zerolane_requests_finished counter
zerolane_requests_finished_total{model="m",reason="stop"} 1.0
"""


def test_metrics_agree_or_not() -> None:
    attempts = [attempt(answer=ANSWER)]
    assert disagreements(Metrics(METRICS), attempts, {"worker": 2}) == []
    assert disagreements(Metrics(METRICS), attempts, {"worker": 3}) == [
        "worker deaths: /metrics says 2, this program 3",
        "restarts of worker and spare: /metrics says 2, this program 3",
    ]
    twice = disagreements(Metrics(METRICS), attempts * 2, {"worker": 2})
    assert twice == ["requests finished: /metrics says 1, this program 2"]


def test_a_lost_frontend_makes_counts_bounds() -> None:
    lost = attempt(failure="connection lost", is_excused=True)
    text = METRICS + 'zerolane_process_restarts_total{role="frontend"} 1.0\n'
    text += 'zerolane_requests_finished_total{model="m",reason="abort"} 1.0\n'
    assert disagreements(Metrics(text), [attempt(answer=ANSWER), lost], {"worker": 2, "frontend": 1}) == []


def test_questions_are_distinct_and_the_same_every_time() -> None:
    questions = make_questions(24, 1, "g", "s")
    assert questions == make_questions(24, 1, "g", "s")
    assert len({question.body for question in questions}) == len({question.name for question in questions}) == 24
    assert sum(question.num_pairs > 0 for question in questions) == 3
    assert not any(question.num_pairs for question in make_questions(24, 1, "g", None))


def status_of(*workers: tuple[int, int]) -> Status:
    """Workers as (pid, steps of the seat)."""
    processes = [
        ProcessStatus("worker", i, pid, 1, "ready", 0, 1.0, steps=steps) for i, (pid, steps) in enumerate(workers)
    ]
    return Status("1", "", True, "", "serving", processes, [], QueueStatus(0, 0, 0))


def test_the_first_step_of_a_new_worker_is_seen() -> None:
    watch = StepWatch({10: 500})
    watch.look(status_of((10, 501)))
    assert not watch.is_waiting  # no new one
    watch.look(status_of((10, 502), (11, 40)))  # an earlier life of this seat computed 40
    assert watch.is_waiting
    assert watch.last_first_step is None
    watch.look(status_of((10, 502), (11, 41)))
    assert not watch.is_waiting
    assert watch.last_first_step is not None


def test_a_new_worker_that_left_again_is_not_waited_for() -> None:
    watch = StepWatch({10: 500})
    watch.look(status_of((10, 502), (11, 0)))
    watch.look(status_of((10, 502)))
    assert not watch.is_waiting


def test_a_second_copy_of_the_weights_is_seen() -> None:
    def change(workers: int, weights_mib: float) -> Change:
        return Change(workers, 1, 0.1, None, weights_mib, 5.0, 100.0)

    def problems(*changes: Change) -> list[str]:
        return [problem for one in scaling_criteria(changes, 400.0) for problem in one.problems]

    assert problems(change(4, 405.0), change(1, 400.0)) == []
    assert problems(change(4, 1600.0), change(1, 400.0)) == [
        "1200.0 MiB more in segments with 4 workers, of 180.0 allowed"
    ]


def test_new_workers_nobody_saw_compute_do_not_count_as_fast() -> None:
    def change(workers: int, first_step_s: float | None) -> Change:
        return Change(workers, 1, 0.1, first_step_s, 0.0, 5.0, 100.0)

    late, _ = scaling_criteria([change(4, 0.5), change(1, None), change(4, None)], 0.0)
    assert late.problems == [str(change(4, None))]


def test_a_longest_pause_must_have_been_measured() -> None:
    (measured,) = pause_criteria(None, 0.25)
    assert measured.problems == ["no pause was measured"]
    assert list(pause_criteria(None, 0.0)) == []


def test_a_soak_that_ended_early_does_not_hold() -> None:
    """Interrupted after its last fault: nobody has looked for leaks, or at an answer."""
    soak = Soak(parse_options(["--kills", "0", "--model", "fake:generate"]))
    try:
        soak.findings.reference = Reference([])
        problems = [problem for criterion in criteria(soak) for problem in criterion.problems]
    finally:
        soak.close()
    assert problems == [
        "its end was not reached: nothing is known of what the server holds",
        "no request was answered while the server was disturbed",
    ]
