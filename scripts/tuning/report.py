"""The result as a table for people and as JSON for programs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from scripts.tuning.candidate import Candidate
from scripts.tuning.comparison import Comparison
from scripts.tuning.frontier import Summary, frontier
from scripts.tuning.result import Result


def text(result: Result) -> str:
    """The whole report."""
    return "\n".join(_lines(result))


def write_json(path: Path, result: Result) -> None:
    """Everything that was measured and compared."""
    report = {
        "command": result.command,
        "load": result.load,
        "objective": msgspec.to_builtins(result.objective),
        "chosen": dict(result.chosen.changes),
        "best_of_search": dict(result.best.changes),
        "verdict": result.verdict,
        "seconds": result.took_s,
        "was_interrupted": result.was_interrupted,
        "trouble": list(result.trouble),
        "frontier": [_plain(summary) for summary in frontier(result.measured)],
        "comparisons": [_plain(comparison) for comparison in result.comparisons],
        "confirmation": _plain(result.confirmation),
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _plain(record: Summary | Comparison | None) -> Any:
    """As JSON has it; a candidate is an object with what differs from the defaults."""
    if record is None:
        return None
    fields = msgspec.structs.asdict(record).items()
    candidates = {name: dict(value.changes) for name, value in fields if isinstance(value, Candidate)}
    return msgspec.to_builtins(record) | candidates


def _lines(result: Result) -> Iterator[str]:
    yield ""
    yield from _frontier_lines(result)
    yield ""
    for trouble in result.trouble:
        yield f"WARNING: {trouble}"
    yield f"{result.verdict} ({result.took_s:.0f} s)"


def _frontier_lines(result: Result) -> Iterator[str]:
    summaries = frontier(result.measured)
    if not summaries:
        return
    yield f"{result.objective.unit:>16} {'first token':>12} {'inter-token':>12} {'end':>10}    (90th percentiles, ms)"
    for summary in summaries:
        times = (_ms(summary.ttft_ms, 12), _ms(summary.itl_ms, 12), _ms(summary.end_to_end_ms, 10))
        mark = "  " if summary.beaten_by else "* "
        chosen = "  <- chosen" if summary.candidate == result.chosen else ""
        yield f"{summary.throughput:>16.1f} {' '.join(times)}  {mark}{summary.candidate}{chosen}"
    yield "* the frontier: nothing that was tried has more throughput and earlier answers than these."


def _ms(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.1f}"
