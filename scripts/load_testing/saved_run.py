"""A whole run as it is written to a file and read again: what the report, the page and `compare` work on.

Times are seconds since the run's first request was due, with microseconds; the page and `compare` need nothing else.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from scripts.load_testing.figures import Figures
from scripts.load_testing.goodput import is_good
from scripts.load_testing.measure import MeasuredStep
from scripts.load_testing.options import LoadOptions, Targets
from scripts.load_testing.records import Outcome, RequestRecord
from scripts.load_testing.server_metrics import ServerSample
from scripts.load_testing.workloads import KindName

FORMAT = 1
MOST_GAPS = 100_000  # of a step; of more, every n-th of each request is kept


class Row(Struct, frozen=True, array_like=True):
    """One request. Seconds; None: there was no such moment."""

    kind: KindName
    began: float
    ttft: float | None
    tpot: float | None
    e2e: float | None
    ended: float | None
    outcome: Outcome
    is_good: bool | None  # None: there were no targets
    prompt_tokens: int | None
    output_tokens: int
    texts: int
    gaps: list[float]  # between events with text


class Step(Struct, frozen=True, kw_only=True):
    """One load of the run."""

    load: str  # "8 at a time", "4 requests/s"
    concurrency: int | None
    rate: float | None
    began: float
    figures: Figures
    rows: list[Row]
    samples: list[ServerSample]  # `at` in the run's seconds


class SavedRun(Struct, frozen=True, kw_only=True):
    """Everything one run found out."""

    format: int
    began_at: str  # ISO 8601, UTC
    model: str
    options: LoadOptions
    was_interrupted: bool
    steps: list[Step]

    @property
    def targets(self) -> Targets:
        return self.options.targets


class UnreadableRun(Exception):
    """The file holds no run of this program. The text is for the person."""


def saved_run(
    options: LoadOptions, model: str, steps: Sequence[MeasuredStep], began_at: datetime | None = None
) -> SavedRun:
    """`steps` must not be empty. `began_at` None: so long ago as the first step began."""
    start = steps[0].began
    return SavedRun(
        format=FORMAT,
        began_at=(began_at or datetime.now(UTC)).isoformat(timespec="seconds"),
        model=model,
        options=options,
        was_interrupted=any(step.was_interrupted for step in steps),
        steps=[_step(step, start) for step in steps],
    )


def write_run(path: Path, run: SavedRun) -> None:
    """As JSON, one object."""
    path.write_bytes(msgspec.json.encode(run) + b"\n")


def read_run(path: Path) -> SavedRun:
    """Raises UnreadableRun."""
    try:
        run = msgspec.json.decode(path.read_bytes(), type=SavedRun)
    except (OSError, msgspec.DecodeError) as error:
        raise UnreadableRun(f"{path} holds no run of this program: {error}") from error
    if run.format != FORMAT or not run.steps:
        raise UnreadableRun(f"{path} is of format {run.format}; this program reads {FORMAT}. Measure again.")
    return run


def _step(step: MeasuredStep, start: float) -> Step:
    options = step.options
    keep_every = 1 + sum(len(record.gaps) for record in step.records) // MOST_GAPS
    return Step(
        load=options.load,
        concurrency=None if options.is_open_loop else options.concurrency,
        rate=options.rate if options.is_open_loop else None,
        began=_rounded(step.began - start),
        figures=step.figures,
        rows=[_row(record, start, options.targets, keep_every) for record in step.records],
        samples=[msgspec.structs.replace(sample, at=_rounded(sample.at - start)) for sample in step.samples],
    )


def _row(record: RequestRecord, start: float, targets: Targets, keep_every: int) -> Row:
    seconds = (record.ttft, record.tpot, record.e2e, None if record.ended is None else record.ended - start)
    ttft, tpot, e2e, ended = (None if value is None else _rounded(value) for value in seconds)
    return Row(
        kind=record.kind,
        began=_rounded(record.began - start),
        ttft=ttft,
        tpot=tpot,
        e2e=e2e,
        ended=ended,
        outcome=record.outcome,
        is_good=is_good(record, targets) if targets else None,
        prompt_tokens=record.num_prompt_tokens,
        output_tokens=record.num_output_tokens,
        texts=record.num_texts,
        gaps=[_rounded(gap) for gap in record.gaps[::keep_every]],
    )


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
