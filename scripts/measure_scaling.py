"""`scripts/scale_workers`: scales a running server, and shows what that costs: memory before and after, and time.

python -m scripts.measure_scaling N [--runtime-dir DIR] [--port PORT]
"""

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ipc.errors import ZerolaneError
from ipc.operator_protocol import AskScale, AskStatus, CommandProgress, Refused, Scaled, Status
from zerolane.operator_client import NoServer, ask, find_server
from zerolane.process_usage import with_usage
from zerolane.status_table import status_text

SILENCE_S = 30.0
FIRST_STEP_S = 3.0  # after the command; under load a new worker has computed one by then
_LOOK_S = 0.01


class FirstSteps:
    """Looks from `start` to `stop` when each new worker has computed its first step."""

    def __init__(self, server: Path, known: Status) -> None:
        self.seconds: dict[int, float] = {}  # worker id -> after the command
        self._server = server
        self._known = {process.pid for process in known.processes}
        self._counted_before: dict[int, int] = {}  # a seat's counter goes on where its last worker left it
        self._began = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="first steps")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Waits until every new worker has one, if anybody streams, but never past FIRST_STEP_S."""
        while self._missing() and look(self._server).queue.running and self._elapsed() < FIRST_STEP_S:
            time.sleep(_LOOK_S)
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_S):
            try:
                self._take(look(self._server))
            except ZerolaneError:
                return  # the command itself says what is wrong

    def _take(self, status: Status) -> None:
        for process in status.processes:
            if process.role == "worker" and process.pid not in self._known and process.steps is not None:
                before = self._counted_before.setdefault(process.id, process.steps)
                if process.steps > before:
                    self.seconds.setdefault(process.id, self._elapsed())

    def _missing(self) -> bool:
        return len(self.seconds) < len(self._counted_before)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def look(server: Path) -> Status:
    *_, reply = ask(server, AskStatus(), SILENCE_S)
    if not isinstance(reply, Status):
        raise NoServer(f"The server gives no status: {reply}.")
    return reply


def scale(server: Path, num_workers: int) -> int:
    """Everything that is printed; the exit code."""
    before = look(server)
    print(f"== before\n{status_text(with_usage(before))}\n\n== scale to {num_workers}", flush=True)
    first_steps = FirstSteps(server, before)
    first_steps.start()
    exit_code = 1
    try:
        exit_code = _command(server, num_workers)
    finally:
        first_steps.stop()
    for worker, seconds in sorted(first_steps.seconds.items()):
        print(f"worker {worker}: first step {seconds:.2f} s after the command")
    print(f"\n== after\n{status_text(with_usage(look(server)))}")
    return exit_code


def _command(server: Path, num_workers: int) -> int:
    for reply in ask(server, AskScale(num_workers), SILENCE_S):
        match reply:
            case CommandProgress(text):
                print(text, flush=True)
            case Scaled():
                print(f"done in {reply.seconds} s: {reply.started} started, {reply.stopped} stopped")
                return 0
            case Refused(message, advice):
                print(f"scripts/scale_workers: {message} {advice}".rstrip(), file=sys.stderr)
    return 1


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/scale_workers")
    parser.add_argument("workers", type=int)
    parser.add_argument("--runtime-dir", default="")
    parser.add_argument("--port", type=int)
    options = parser.parse_args(arguments)
    try:
        return scale(find_server(options.runtime_dir, options.port), options.workers)
    except ZerolaneError as error:
        print(f"scripts/scale_workers: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
