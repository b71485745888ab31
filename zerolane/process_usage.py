"""Memory and processor time of the server's processes, read from /proc by whoever asks for the status.

Not by the supervisor: the kernel walks all pages of a process for its share of memory, 8 ms for one that maps 600 MB,
and as long its loop would see no death.
"""

import os
from pathlib import Path

from msgspec.structs import replace

from ipc.operator_protocol import ProcessStatus, Status

_TICKS = os.sysconf("SC_CLK_TCK")
_USER_TIME, _SYSTEM_TIME = 11, 12  # words of /proc/PID/stat after the name: proc(5) counts from 1 and before the pid


def with_usage(status: Status) -> Status:
    """`status` with what /proc tells about each process; None where it does not."""
    return replace(status, processes=[_with_usage(process) for process in status.processes])


def pss_mib(pid: int) -> dict[str, float]:
    """Proportional set size of a process by kind ("Pss", and of it "Pss_Shmem" in memory segments): a page that n
    processes map counts as a part of 1/n. Empty when the process is gone or the kernel does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines if line.startswith("Pss")]
    return {kind.rstrip(":"): round(int(kib) / 1024, 1) for kind, kib, *_ in words}


def cpu_s(pid: int) -> float | None:
    """Seconds of processor time of all threads together, user's and kernel's; None when the process is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(words[_USER_TIME]) + int(words[_SYSTEM_TIME])) / _TICKS


def _with_usage(process: ProcessStatus) -> ProcessStatus:
    if not process.pid:
        return process
    pss = pss_mib(process.pid)
    shared = pss.get("Pss_Shmem")
    return replace(process, pss_mib=pss.get("Pss"), shared_pss_mib=shared, cpu_s=cpu_s(process.pid))
