"""Ends what the harness started, however the harness itself ends: also by SIGKILL, when it can clean up nothing.

`python -m benchmarks.peers.janitor` reads process ids, one a line, and ends all their trees when its standard input
ends. It runs in a session of its own, so that a signal to the harness's group does not meet it. A tree in which every
process is stopped would otherwise stay for ever.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.processes import end

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 30.0


class Janitor:
    """The harness's end. Close it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.janitor"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def watch(self, root_pid: int) -> None:
        """Raises RuntimeError when the janitor is gone."""
        if self._process.stdin is None:
            raise RuntimeError("the janitor has no standard input")
        self._process.stdin.write(f"{root_pid}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End what still lives. Raises subprocess.TimeoutExpired after WAIT_S."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(WAIT_S)


def main() -> None:
    end([int(line) for line in sys.stdin])


if __name__ == "__main__":
    main()
