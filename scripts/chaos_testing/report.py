"""Everything one soak found out, as text for people and JSON for programs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from scripts.chaos_testing.criteria import Criterion, criteria, pause_criteria
from scripts.chaos_testing.http_client import Attempt
from scripts.chaos_testing.pauses import pauses
from scripts.chaos_testing.scaling import Change
from scripts.chaos_testing.soak import Soak
from scripts.load_testing.figures import Distribution, distribution

MOST_SHOWN = 5  # examples of a criterion that does not hold
BASELINE_STEP_S = 0.5  # between the moments at which pauses of the undisturbed run are looked at


class Report(Struct, frozen=True, kw_only=True):
    """Everything one soak found out."""

    options: dict[str, Any]
    criteria: list[Criterion]
    requests: dict[str, int]
    output_tokens: int
    pause_s: Distribution | None  # over all pairs of a fault and a stream that was open then
    undisturbed_pause_s: Distribution | None  # the same at moments when nothing happened
    whole_after_s: Distribution | None  # from a fault until its replacement was ready
    faults: list[dict[str, Any]]
    changes: list[Change]
    poisonings: list[dict[str, Any]]
    restarts: list[dict[str, Any]]
    metrics: dict[str, float]
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def holds(self) -> bool:
        return all(criterion.holds for criterion in self.criteria)


def make_report(soak: Soak) -> Report:
    """Judge what was found."""
    findings = soak.findings
    struck = soak.faults.struck if soak.faults else []
    attempts = findings.disturbed
    pause_s = pauses(attempts, [fault.at for fault in struck])
    answers = [attempt.answer for attempt in attempts if attempt.answer is not None]
    return Report(
        options=msgspec.structs.asdict(soak.options),
        criteria=[*criteria(soak), *pause_criteria(pause_s, soak.options.max_pause)],
        requests=dict(Counter(_outcome(attempt) for attempt in attempts)),
        output_tokens=sum(answer.completion_tokens for answer in answers),
        pause_s=pause_s,
        undisturbed_pause_s=pauses(findings.undisturbed, _moments(findings.undisturbed)),
        whole_after_s=distribution([fault.whole_after_s for fault in struck]),
        faults=[msgspec.structs.asdict(fault) for fault in struck],
        changes=soak.scaling.changes if soak.scaling else [],
        poisonings=[msgspec.structs.asdict(poisoning) for poisoning in findings.poisonings],
        restarts=[msgspec.structs.asdict(restarted) for restarted in findings.restarts],
        metrics=findings.metrics.by_name() if findings.metrics else {},
        before=msgspec.structs.asdict(findings.before) if findings.before else None,
        after=msgspec.structs.asdict(findings.after) if findings.after else None,
    )


def write_json(path: Path, report: Report) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report, enc_hook=str)) + b"\n")


def text(report: Report) -> str:
    """The whole report in a few lines."""
    return "\n".join(_lines(report))


def _outcome(attempt: Attempt) -> str:
    if attempt.is_excused:
        return "lost with their frontend and asked again"
    return "answered" if attempt.answer is not None else "failed"


def _moments(attempts: Sequence[Attempt]) -> list[float]:
    """Moments all over the undisturbed run."""
    if not attempts:
        return []
    begin, end = attempts[0].began, max(attempt.ended or attempt.began for attempt in attempts)
    return [begin + BASELINE_STEP_S * number for number in range(1, int((end - begin) / BASELINE_STEP_S))]


def _lines(report: Report) -> Iterator[str]:
    for criterion in report.criteria:
        yield f"{'ok  ' if criterion.holds else 'FAIL'} {criterion.name}"
        yield from (f"       {problem}" for problem in criterion.problems[:MOST_SHOWN])
        if len(criterion.problems) > MOST_SHOWN:
            yield f"       and {len(criterion.problems) - MOST_SHOWN} more"
    yield ""
    requests = ", ".join(f"{count} {outcome}" for outcome, count in report.requests.items())
    yield f"requests         {requests}; {report.output_tokens} output tokens"
    yield f"faults           {dict(Counter(fault['role'] for fault in report.faults))}"
    yield _milliseconds("pauses at them", report.pause_s)
    yield _milliseconds("undisturbed", report.undisturbed_pause_s)
    yield _milliseconds("whole again", report.whole_after_s)
    for change in report.changes:
        first = "" if change.first_step_s is None else f", first steps after {change.first_step_s:.2f} s"
        counts = f"{change.workers} workers, {change.pools} pools"
        memory = f"weights {change.weights_pss_mib:.0f} MiB, own {change.own_pss_mib:.0f} MiB"
        yield f"scaled           to {counts} in {change.seconds:.2f} s{first}; {memory}"
    for restarted in report.restarts:
        yield f"all restarted    in {restarted['seconds']:.2f} s"
    for poisoning in report.poisonings:
        yield f"poison           {poisoning}"


def _milliseconds(name: str, values: Distribution | None) -> str:
    if values is None:
        return f"{name:<16} nothing"
    numbers = {"p50": values.p50, "p99": values.p99, "largest": values.largest}
    shown = ", ".join(f"{key} {seconds * 1000:.0f} ms" for key, seconds in numbers.items())
    return f"{name:<16} {shown} ({values.count} of them)"
