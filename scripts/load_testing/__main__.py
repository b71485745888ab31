"""`scripts/load_test`: measure the words, warm up, send, report. Exit code 0 only if every request was answered."""

import asyncio
import signal
import sys
from collections.abc import Sequence

import uvloop

from scripts.load_testing.bodies import Bodies, WordLength, measure_words
from scripts.load_testing.figures import Figures, figures
from scripts.load_testing.options import LoadOptions, parse_options
from scripts.load_testing.progress import Progress
from scripts.load_testing.report import table, write_json
from scripts.load_testing.server import Server, ServerError
from scripts.load_testing.traffic import Traffic

EXIT_FAILED = 1
EXIT_NO_SERVER = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs one load test; the exit code."""
    options = parse_options(arguments)
    try:
        return uvloop.run(load_test(options))
    except ServerError as error:
        print(f"load_test: {error}", file=sys.stderr)
        return EXIT_NO_SERVER
    except KeyboardInterrupt:
        print("load_test: interrupted before anything was measured", file=sys.stderr)
        return EXIT_INTERRUPTED


async def load_test(options: LoadOptions) -> int:
    """Raises ServerError when there is nothing to measure."""
    async with Server(options) as server:
        model = await server.model_name()
        word_length: WordLength = await measure_words(server, options, model)
        traffic = Traffic(server, Bodies(options, model, word_length), options)
        await traffic.warm_up()
        was_interrupted = await _send_until_interrupted(traffic, options)
        result = figures(traffic.records, traffic.elapsed, traffic.cpu_seconds)
    _say(options, model, result)
    if was_interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if result.num_failed or not result.num_ok else 0


async def _send_until_interrupted(traffic: Traffic, options: LoadOptions) -> bool:
    """True: Ctrl-C ended it. What was open then is cut off and keeps its record."""
    loop = asyncio.get_running_loop()
    sending = loop.create_task(traffic.send_all())
    showing = loop.create_task(Progress(traffic, options).show())
    loop.add_signal_handler(signal.SIGINT, sending.cancel)
    try:
        await asyncio.wait([sending])
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        showing.cancel()
        await asyncio.wait([showing])
    if not sending.cancelled():
        sending.result()  # a bug of ours is raised here
    return sending.cancelled()


def _say(options: LoadOptions, model: str, result: Figures) -> None:
    print(table(options, model, result), flush=True)
    if options.json is not None:
        write_json(options.json, options, model, result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
