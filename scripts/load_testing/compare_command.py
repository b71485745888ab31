"""`scripts/load_test compare A.json B.json ...`: what changed from A to B, and what is noise."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.load_testing.comparison import Change, StepComparison, comparisons, different_options, joined, percent
from scripts.load_testing.saved_run import SavedRun, UnreadableRun, read_run

EXIT_WORSE = 1
EXIT_UNREADABLE = 2
COLUMNS = ("", "A", "B", "change")
OF_CHANCE, OF_PAIRS = "95 % of chance lie in", "all pairs lie in"
NOISE = """The interval is what chance within these two runs can do (bootstrap over requests, neighbours together).
Another hour on a shared machine can do more: measure A, B, A, B, ... and give all files in that order."""
PAIRS = "Medians over the pairs; a figure is better or worse when it is so in every pair."


def compare(arguments: Sequence[str]) -> int:
    """Prints the comparison; the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if len(options.files) < 2 or len(options.files) % 2:
        parser.error("runs come in pairs: A.json B.json, and more of them as they were measured, A B A B")
    try:
        runs = [read_run(path) for path in options.files]
    except UnreadableRun as error:
        print(f"load_test: {error}", file=sys.stderr)
        return EXIT_UNREADABLE
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    found = joined([comparisons(*pair, with_noise=len(pairs) == 1) for pair in pairs])
    if not found:
        print("load_test: the runs have no load in common", file=sys.stderr)
        return EXIT_UNREADABLE
    print("\n".join(line.rstrip() for line in _lines(pairs, found)))
    is_worse = any(change.verdict == "worse" for step in found for change in step.changes)
    return EXIT_WORSE if options.fail_if_worse and is_worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/load_test compare",
        description="Runs, saved with --json, beside each other: each figure, its change, and whether it is noise.",
        epilog=f"{NOISE} {PAIRS}",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="A.json B.json", help="one pair of runs, or several")
    parser.add_argument(
        "--fail-if-worse",
        action="store_true",
        help="exit code 1 when any figure is worse by more than noise: for CI; strict, as there are a dozen figures",
    )
    return parser


def _lines(pairs: list[tuple[SavedRun, SavedRun]], found: list[StepComparison]) -> Iterator[str]:
    for pair in pairs:
        for letter, run in zip("AB", pair, strict=True):
            cut = ", interrupted" if run.was_interrupted else ""
            yield f"{letter}: {run.options.workload} of {run.model} on {run.options.url}, {run.began_at}{cut}"
    differences = [difference for pair in pairs for difference in different_options(*pair)]
    for difference in dict.fromkeys(differences):
        yield f"NOT THE SAME LOAD: {difference}"
    columns = (*COLUMNS, OF_CHANCE if len(pairs) == 1 else OF_PAIRS, "")
    for step in found:
        yield ""
        yield step.load
        rows = [columns, *(_cells(change) for change in step.changes)]
        widths = [max(len(row[number]) for row in rows) for number in range(len(columns))]
        for name, *numbers, verdict in rows:
            cells = [f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=False)]
            yield "  ".join(["", f"{name:<{widths[0]}}", *cells, verdict])
    yield ""
    yield NOISE if len(pairs) == 1 else PAIRS


def _cells(change: Change) -> tuple[str, ...]:
    values = [
        f"{value:.1%}" if change.name.endswith("share") else f"{value:.1f}" for value in (change.before, change.after)
    ]
    interval = "cannot be told" if change.interval is None else " to ".join(percent(end) for end in change.interval)
    return (change.name, *values, percent(change.relative), interval, change.verdict)
