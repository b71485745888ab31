"""How much memory this process may still take: what the machine has free, or less where a control group limits it."""

from pathlib import Path

_UNLIMITED = 1 << 60  # control groups of version 1 say "no limit" with a huge number


def memory_available(root: Path = Path("/")) -> int:
    """Bytes that can be taken without swapping or being killed. `root` is where /proc and /sys are looked for."""
    return min([_meminfo_available(root), *_cgroup_room(root)])


def _meminfo_available(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return _UNLIMITED  # no Linux older than 3.14 lacks the line


def _cgroup_room(root: Path) -> list[int]:
    """Room left in each memory control group this process is in, from its own up to the top one."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit, usage = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top, limit, usage = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in [group, *(parent for parent in group.parents if parent.is_relative_to(top))]:
            rooms += _room(folder, limit, usage)
    return rooms


def _room(group: Path, limit_file: str, usage_file: str) -> list[int]:
    """Limit minus usage, where pages of files do not count as used: the kernel drops them first."""
    try:
        limit = (group / limit_file).read_text().strip()
        usage = int((group / usage_file).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return []
    if limit == "max" or int(limit) >= _UNLIMITED:
        return []
    reclaimable = int(stat.get("active_file", 0)) + int(stat.get("inactive_file", 0))
    return [max(0, int(limit) - usage + reclaimable)]
