"""Processor time by process, from /proc: who used the cores during a run."""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def role_seconds(server_pid: int) -> dict[str, float]:
    """CPU seconds so far of the server's processes, by role; the supervisor is the process itself."""
    seconds = {"supervisor": process_seconds(server_pid)}
    for role, pid in children_by_role(server_pid):
        seconds[role] = seconds.get(role, 0.0) + process_seconds(pid)
    return seconds


def children_by_role(server_pid: int) -> list[tuple[str, int]]:
    """(role, pid) of the server's processes but the supervisor."""
    return [(_role(pid), pid) for pid in _children(server_pid)]


def machine_seconds() -> float:
    """CPU seconds all processes of the machine have used so far (not idle, not waiting, not stolen)."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / _TICKS_PER_S


def process_seconds(pid: int) -> float:
    """CPU seconds of one process with all its threads; 0 when it is gone.

    From the kernel's nanosecond clocks: /proc/PID/stat counts hundredths of a second, coarse for a run of one second.
    """
    return sum(_thread_nanoseconds(task) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _thread_nanoseconds(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text().split()[0])
    except OSError:  # it ended just now
        return 0


def _children(parent: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[1]) == parent]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state first. Empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _role(pid: int) -> str:
    """The word after `-m zerolane` on its command line; a worker, made by the fork server, has its name only."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        name = Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return "gone"
    if name.startswith("worker "):
        return "worker"
    return words[words.index("zerolane") + 1] if "zerolane" in words[:-1] else "other"
