"""`scripts/tune`: measure, search, confirm, write. Exit code 0 when a file was written."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

import uvloop

from scripts.tuning.objective import TrialFailed
from scripts.tuning.options import TuneOptions, parse_options
from scripts.tuning.plan import TooLittleTime
from scripts.tuning.report import text, write_json
from scripts.tuning.result import Result
from scripts.tuning.serve_file import write_serve_file
from scripts.tuning.tuning import Tuning

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
LATER_S = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str]) -> int:
    """Runs once; the exit code."""
    options = parse_options(arguments)
    try:
        result = uvloop.run(tune(options))
    except (TrialFailed, TooLittleTime) as error:
        print(f"tune: {error}", file=sys.stderr)
        return EXIT_FAILED
    _say(options, result)
    return EXIT_INTERRUPTED if result.was_interrupted else 0


async def tune(options: TuneOptions) -> Result:
    """Ctrl-C or SIGTERM end it early, with what was found by then."""
    tuning = Tuning(options)
    running = asyncio.create_task(tuning.run())
    loop = asyncio.get_running_loop()
    was_told = False

    def stop() -> None:
        nonlocal was_told
        if was_told:
            return  # a second signal must not end the ending of the servers
        if running.cancelling():  # the time of a load or of the search is over, and a server may be ending for that
            loop.call_later(LATER_S, stop)
            return
        was_told = True
        running.cancel()

    for signum in SIGNALS:
        loop.add_signal_handler(signum, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return tuning.result()


def _say(options: TuneOptions, result: Result) -> None:
    """Files first: after a hang-up there may be nobody to print for."""
    is_kept = result.was_interrupted and not result.comparisons and options.output.exists()
    if not is_kept:
        write_serve_file(options.output, result)
    if options.json is not None:
        write_json(options.json, result)
    print(text(result), flush=True)
    done = f"Nothing was compared, {options.output} stays as it was." if is_kept else f"Written: {options.output}"
    print(f"{done}    zerolane serve --config {options.output}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
