"""`scripts/load_test`: measure the words, warm up, send, report; or compare two reports."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import uvloop

from scripts.load_testing.command_line import Command, parse_command
from scripts.load_testing.compare_command import compare
from scripts.load_testing.measure import prepare
from scripts.load_testing.page import page
from scripts.load_testing.progress import Progress
from scripts.load_testing.ramp import misses, run_steps
from scripts.load_testing.report import report
from scripts.load_testing.saved_run import SavedRun, saved_run, write_run
from scripts.load_testing.server import Server, ServerError

EXIT_FAILED = 1
EXIT_NO_SERVER = 2
EXIT_MISSED = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs one load test, or compares two; the exit code."""
    if list(arguments[:1]) == ["compare"]:
        return compare(arguments[1:])
    command = parse_command(arguments)
    try:
        return uvloop.run(load_test(command))
    except ServerError as error:
        print(f"load_test: {error}", file=sys.stderr)
        return EXIT_NO_SERVER
    except KeyboardInterrupt:
        print("load_test: interrupted before anything was measured", file=sys.stderr)
        return EXIT_INTERRUPTED


async def load_test(command: Command) -> int:
    """Raises ServerError when there is nothing to measure."""
    options = command.load
    progress = Progress(options)
    async with Server(options) as server:
        showing = asyncio.create_task(progress.show())
        try:
            bodies = await prepare(server, options)
            began_at = datetime.now(UTC)
            steps = await run_steps(server, bodies, options, progress.step_began)
        finally:
            showing.cancel()
            await asyncio.wait([showing])
    run = saved_run(options, bodies.model_names, steps, began_at)
    _say(command, run)
    return exit_code(command, run)


def exit_code(command: Command, run: SavedRun) -> int:
    """What the result means for a script."""
    found = [step.figures for step in run.steps]
    if run.was_interrupted:
        return EXIT_INTERRUPTED
    if not any(figures.num_ok for figures in found):
        return EXIT_FAILED
    if command.fail_on_errors and any(figures.num_failed for figures in found):
        return EXIT_FAILED
    return EXIT_MISSED if all(misses(run.options, figures) for figures in found) else 0


def _say(command: Command, run: SavedRun) -> None:
    if command.json is not None:
        write_run(command.json, run)
    if command.html is not None:
        command.html.write_text(page(run), encoding="utf-8")
    print(report(run), flush=True)
    for path in (command.json, command.html):
        if path is not None:
            print(f"written: {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
