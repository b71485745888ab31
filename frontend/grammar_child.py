"""One process that compiles grammars (`compile_grammar.py`), started when first needed and again when one killed it."""

import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from ipc.grammar_limits import COMPILE_BYTES, COMPILE_CPU_S, LIMITS

PROGRAM = Path(__file__).with_name("compile_grammar.py")
ANSWER_TIMEOUT_S = 60.0  # of wall time, on a machine with no time left for it


class GrammarTask(NamedTuple):
    """A grammar and what it may name. `is_user_text`: it is in Lark or GBNF, else serialized."""

    text: str
    is_user_text: bool
    special_tokens: tuple[str, ...]
    vocab_size: int


class Compiled(NamedTuple):
    """The serialized grammar; or "" and the reason against it."""

    grammar: str
    reason: str


class GrammarChild:
    """Used by one thread. Its process ends when this one does: its input ends then."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def compile(self, task: GrammarTask) -> Compiled:
        """Takes COMPILE_CPU_S of processor time at most."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode({**task._asdict(), "limits": LIMITS}) + b"\n")
            process.stdin.flush()
            answers, _, _ = select.select([process.stdout], [], [], ANSWER_TIMEOUT_S)
            line = process.stdout.readline() if answers else b""
        except BrokenPipeError:
            line = b""
        if line.endswith(b"\n"):
            grammar, reason = msgspec.json.decode(line, type=tuple[str, str])
            return Compiled(grammar, reason)
        return Compiled("", self._cause_of_death())

    def close(self) -> None:
        """Ends the process. The next `compile` starts another one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):  # what it did not read
                    if pipe is not None:
                        pipe.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", str(PROGRAM), str(COMPILE_CPU_S), str(COMPILE_BYTES)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def _cause_of_death(self) -> str:
        """Why there was no answer; the process is gone afterwards."""
        process = self._process
        assert process is not None
        self.close()
        if process.returncode == -signal.SIGPROF:
            return f"it takes more than {COMPILE_CPU_S:g} s to compile."
        return "it cannot be compiled within the memory or time there is for it."
