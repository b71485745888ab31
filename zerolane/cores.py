"""How many cores this server may use."""

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Cores this process may run on, or fewer where its control group has less processor time. At least 1."""
    cores = len(os.sched_getaffinity(0))
    for quota_file in ("sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        try:
            words = (root / quota_file).read_text().split()
            if len(words) == 1:
                words.append((root / "sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip())
        except OSError:
            continue
        if words[0] != "max" and int(words[0]) > 0:
            cores = min(cores, math.ceil(int(words[0]) / int(words[1])))
    return max(1, cores)


def threads_per_worker(wanted: int, num_workers: int) -> int:
    """Torch threads of each worker: `wanted`, or with 0 an equal share of the cores."""
    return wanted or max(1, usable_cores() // num_workers)
