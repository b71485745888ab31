"""A peer as a tree of processes: who belongs to it, what it used, stopping and going on, who listens."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence

import psutil

from benchmarks.peers.orders import Usage

STOP_S = 10.0
END_S = 10.0


def tree(root_pid: int) -> list[psutil.Process]:
    """The process, its descendants, and all of its session (those whose parent has ended). Empty when all are gone."""
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(root_pid)
        found = {process.pid: process for process in [root, *root.children(recursive=True)]}
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == root_pid:
                found.setdefault(process.pid, process)
    return list(found.values())


def suspend(root_pid: int) -> None:
    """Stop the whole tree. Raises TimeoutError when a thread of it still runs after STOP_S."""
    deadline = time.monotonic() + STOP_S
    _signal(root_pid, signal.SIGSTOP)
    while running := list(_running_threads(root_pid)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"threads {running} of {root_pid} did not stop")
        time.sleep(0.02)
        _signal(root_pid, signal.SIGSTOP)  # a process may have been born meanwhile


def resume(root_pid: int) -> None:
    _signal(root_pid, signal.SIGCONT)


def end(root_pids: Sequence[int]) -> None:
    """End the trees, stopped or not. The roots may clean up (vLLM has segments in /dev/shm); what is left when they
    have ended, or after END_S, is killed."""
    trees = {root_pid: tree(root_pid) for root_pid in root_pids}
    for root_pid in root_pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(root_pid, signal.SIGTERM)
        resume(root_pid)
    _wait_gone([process for processes in trees.values() for process in processes if process.pid in trees])
    rest = [process for processes in trees.values() for process in processes]
    for process in rest:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_gone(rest)


def owns_listener(root_pid: int, port: int) -> bool:
    """Whether a process of the tree listens on the TCP port."""
    for process in tree(root_pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


class UsageWindow:
    """From its making to `close`: the cores used by a tree, by this process and by all others."""

    def __init__(self, root_pid: int) -> None:
        self._root_pid = root_pid
        self._tree = _seconds_by_pid(root_pid)
        self._own = time.process_time()
        self._machine, self._stolen = _machine_seconds()
        self._began = time.perf_counter()

    def close(self) -> Usage:
        elapsed = time.perf_counter() - self._began
        machine, stolen = _machine_seconds()
        own = time.process_time() - self._own
        peer = sum(now - self._tree.get(pid, 0.0) for pid, now in _seconds_by_pid(self._root_pid).items())
        return Usage(
            seconds=elapsed,
            peer_cores=peer / elapsed,
            foreign_cores=max(0.0, machine - self._machine - peer - own) / elapsed,
            stolen_cores=(stolen - self._stolen) / elapsed,
        )


def _seconds_by_pid(root_pid: int) -> dict[int, float]:
    seconds: dict[int, float] = {}
    for process in tree(root_pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds[process.pid] = times.user + times.system
    return seconds


def _machine_seconds() -> tuple[float, float]:
    """(used, stolen) processor seconds of the machine so far."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq, times.steal


def _wait_gone(processes: Sequence[psutil.Process]) -> None:
    """Until all have ended, at most END_S. Whether their parents have noticed does not matter."""
    deadline = time.monotonic() + END_S
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(root_pid: int, number: int) -> None:
    for process in tree(root_pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _running_threads(root_pid: int) -> Iterator[int]:
    """Threads that are neither stopped nor dead. A process's state says nothing about its other threads."""
    for process in tree(root_pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            for thread in process.threads():
                if _state(process.pid, thread.id) not in "TtZX":
                    yield thread.id


def _state(pid: int, thread: int) -> str:
    """The kernel's letter; "X" when the thread is gone."""
    try:
        with open(f"/proc/{pid}/task/{thread}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
