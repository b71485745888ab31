"""`scripts/chaos`: soak, report. Exit code 0 only if every criterion holds."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

import uvloop

from scripts.chaos_testing.options import parse_options
from scripts.chaos_testing.progress import show_progress
from scripts.chaos_testing.report import make_report, text, write_json
from scripts.chaos_testing.server import ServerError
from scripts.chaos_testing.soak import Soak

EXIT_FAILED = 1
EXIT_NO_SERVER = 2


def main(arguments: Sequence[str]) -> int:
    """Runs one soak; the exit code."""
    soak = Soak(parse_options(arguments))
    try:
        uvloop.run(_run(soak))
        return _say(soak)
    except ServerError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return EXIT_NO_SERVER
    finally:
        soak.close()


async def _run(soak: Soak) -> None:
    """Ctrl-C or SIGTERM end it early: the server is stopped and what was found is reported."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(soak.run())
    showing = loop.create_task(show_progress(soak))
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, running.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await running
    finally:
        showing.cancel()
        await asyncio.wait([showing])


def _say(soak: Soak) -> int:
    report = make_report(soak)
    print(text(report), flush=True)
    if soak.options.report is not None:
        write_json(soak.options.report, report)
    if not report.holds:
        print(f"\nThe server's last lines:\n{soak.log_end()}", file=sys.stderr)
    return 0 if report.holds else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
