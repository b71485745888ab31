"""The page in front of a fake pool in which every process writes down what it does, so that all see who breaks a rule.

| number | ended | exporter: pid, start time, instance | ... | slots of 4 words: pid, start time, instance, times open
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ipc.device_memory.interface import RuleBroken

PAGE_BYTES = 4096
_NUMBER, _ENDED, _EXPORTER, _FIRST_SLOT, _SLOT_WORDS, _TIMES_OPEN = 0, 1, 2, 8, 4, 3  # 8-byte words
_STATE_FIELD, _START_FIELD = 0, 19  # of /proc/PID/stat, counted behind the process' name


class ProcessId(NamedTuple):
    """A process that never is taken for another one with the same number."""

    pid: int
    start: int  # clock ticks from the machine's start to the process'
    instance: int = 0  # tells processes apart that a test plays in one

    @classmethod
    def own(cls, instance: int = 0) -> "ProcessId":
        return cls(os.getpid(), int(_stat(os.getpid())[_START_FIELD]), instance)

    @property
    def is_alive(self) -> bool:
        """It has not ended; a zombie has."""
        stat = _stat(self.pid)
        return bool(stat) and stat[_STATE_FIELD] not in "ZX" and int(stat[_START_FIELD]) == self.start


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


class RulePage:
    """The page as one process has mapped it."""

    def __init__(self, fd: int, page: memoryview) -> None:
        """`page`: PAGE_BYTES of the memory behind `fd`."""
        self._fd = fd
        self._words = page.cast("Q")
        page.release()

    def begin(self, number: int, exporter: ProcessId) -> None:
        """The pool exists."""
        self._words[_NUMBER] = number
        self._write(_EXPORTER, exporter)

    def end(self) -> None:
        """Its memory is gone, by `free` or with its process."""
        self._words[_ENDED] = 1

    def belongs_to(self, number: int) -> bool:
        """This is the pool with that number, and its exporter lives."""
        return self._words[_NUMBER] == number and self.exporter_lives

    @property
    def exporter(self) -> ProcessId:
        return self._read(_EXPORTER)

    @property
    def exporter_lives(self) -> bool:
        return not self._words[_ENDED] and self.exporter.is_alive

    def note_open(self, process: ProcessId) -> None:
        """Raises RuleBroken when the process has the pool open already."""
        with self._locked():
            slot = self._slot_of(process)
            if slot is None:
                slot = self._free_slot()
                self._write(slot, process)
            if self._words[slot + _TIMES_OPEN]:
                raise RuleBroken("a process opens a pool once and keeps it")
            self._words[slot + _TIMES_OPEN] = 1

    def note_close(self, process: ProcessId) -> None:
        """Raises RuleBroken when the process does not have the pool open."""
        with self._locked():
            slot = self._slot_of(process)
            if slot is None or not self._words[slot + _TIMES_OPEN]:
                raise RuleBroken("a pool is closed as often as it was opened: its count would be negative")
            self._words[slot + _TIMES_OPEN] = 0

    def living_users(self) -> list[ProcessId]:
        """Who has the pool open. A dead process has nothing open: the driver closes it."""
        users = [self._read(slot) for slot in self._slots() if self._words[slot + _TIMES_OPEN]]
        return [user for user in users if user.is_alive]

    def close(self) -> None:
        """Give up the view."""
        self._words.release()

    def _slots(self) -> range:
        return range(_FIRST_SLOT, PAGE_BYTES // 8, _SLOT_WORDS)

    def _slot_of(self, process: ProcessId) -> int | None:
        return next((slot for slot in self._slots() if self._read(slot) == process), None)

    def _free_slot(self) -> int:
        for slot in self._slots():
            if not self._words[slot + _TIMES_OPEN] or not self._read(slot).is_alive:
                self._words[slot + _TIMES_OPEN] = 0
                return slot
        raise RuleBroken("more processes have the pool open than the fake can count")

    def _read(self, word: int) -> ProcessId:
        return ProcessId(*self._words[word : word + 3].tolist())

    def _write(self, word: int, process: ProcessId) -> None:
        for position, value in enumerate(process):
            self._words[word + position] = value

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Two processes must not take the same slot."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)
