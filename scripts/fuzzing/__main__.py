"""`scripts/fuzz_bodies`: start a server, warm it up, send, report. Exit code 0 only if nothing went wrong."""

import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import uvloop

from scripts.chaos_testing.server import ServerError, ServerUnderTest
from scripts.fuzzing.cases import cases
from scripts.fuzzing.fuzz import Result, fuzz, fuzz_with_witnesses, memory_mib
from scripts.fuzzing.options import FuzzOptions, parse_options
from scripts.fuzzing.report import problems, show_one, table
from scripts.fuzzing.witness import Witnesses

EXIT_FAILED = 1
EXIT_NO_SERVER = 2
ADMIN_KEY = "fuzzing"
WARM_UP = 0.2  # of the bodies
SERVER = (
    *("fake:generate", "fake:score", "fake:embed", "--max-model-len", "512"),
    *("--max-body-bytes", str(4 << 20), "--admin-key", ADMIN_KEY, "--log-level", "error"),
)


def main(arguments: Sequence[str]) -> int:
    """Runs one fuzz; the exit code."""
    options = parse_options(arguments)
    with tempfile.TemporaryDirectory(prefix="zerolane-fuzz-") as folder:
        log = Path(folder) / "log"
        try:
            server = ServerUnderTest(SERVER, {}, log)
        except ServerError as error:
            print(f"fuzz_bodies: {error}", file=sys.stderr)
            return EXIT_NO_SERVER
        try:
            found = uvloop.run(_one(server, options) if options.only is not None else _all(server, options))
        finally:
            left = server.close()
        for problem in [*found, *left]:
            print(f"FAILED: {problem}")
        if found:
            print(f"\nThe server's log:\n{log.read_text(errors='replace')[-8000:]}")
    return EXIT_FAILED if found or left else 0


async def _all(server: ServerUnderTest, options: FuzzOptions) -> list[str]:
    """What went wrong, in words."""
    result = Result()
    every = cases(options.seed, options.count)
    warm_up = islice(every, int(options.count * WARM_UP))
    await fuzz(server.url, warm_up, ADMIN_KEY, options.concurrency, result)
    result.memory_mib.append(memory_mib(server.pid))
    witnesses: Witnesses = await fuzz_with_witnesses(
        server.url, every, ADMIN_KEY, options.concurrency, options.witnesses, result
    )
    result.memory_mib.append(memory_mib(server.pid))
    print(table(result, witnesses), flush=True)
    return problems(result, witnesses, options)


async def _one(server: ServerUnderTest, options: FuzzOptions) -> list[str]:
    result = Result()
    assert options.only is not None
    case = next(islice(cases(options.seed, options.only + 1), options.only, None))
    await fuzz(server.url, [case], ADMIN_KEY, 1, result)
    print(show_one(case, result))
    return [str(outcome.fault) for outcome in result.faults]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
