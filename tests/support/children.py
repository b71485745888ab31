"""Child processes of tests: `python -m MODULE ARGUMENT...`, ended with the test."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0  # for anything a child is waited for


class Child:
    """One process; its standard input and output are pipes to the test."""

    def __init__(self, module: str, arguments: Sequence[str], fds: Sequence[int]) -> None:
        """`fds` keep their numbers in the child."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            pass_fds=fds,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def read_line(self) -> str:
        """The next line the child prints; "" when it ended. The test's own timeout is the deadline."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip("\n")

    def write_line(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Children:
    """Owner of all children of one test."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def start(self, module: str, *arguments: object, fds: Sequence[int] = ()) -> Child:
        child = Child(module, [str(argument) for argument in arguments], fds)
        self._children.append(child)
        return child

    def close(self) -> None:
        for child in self._children:
            child.close()
