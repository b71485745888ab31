"""What Linux says about processes: children, descriptors, mapped memory, and whose connection a port is."""

import os
import re
from collections import Counter
from pathlib import Path

CONNECTIONS = Path("/proc/net/tcp")


def is_running(pid: int) -> bool:
    """It exists and is no zombie."""
    return _state(pid) not in ("", "Z")


def children(pid: int) -> list[int]:
    """Zombies included."""
    found: list[int] = []
    for task in _listed(Path(f"/proc/{pid}/task")):
        found += map(int, _text(task / "children").split())
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    return [one for child in children(pid) for one in (child, *descendants(child))]


def num_zombies(pid: int) -> int:
    """Dead descendants nobody has waited for."""
    return sum(_state(child) == "Z" for child in descendants(pid))


def descriptors(pid: int) -> Counter[str]:
    """What its descriptors lead to, numbers left out ("socket:", "memfd:weights"): how many of each."""
    return Counter(_kind(target) for target in _links(pid))


def mapped_segments(pid: int) -> Counter[str]:
    """Its mappings of memory segments, by name."""
    lines = _text(Path(f"/proc/{pid}/maps")).splitlines()
    return Counter(_segment(line) for line in lines if "/memfd:" in line)


def segment_pss_mib(pid: int) -> dict[str, float]:
    """Proportional share of each segment it maps, by name; what is no segment stands under ""."""
    shares: dict[str, float] = {}
    name = ""
    for line in _text(Path(f"/proc/{pid}/smaps")).splitlines():
        first = line.split(maxsplit=1)[0]
        if not first.endswith(":"):
            name = _segment(line) if "/memfd:" in line else ""
        elif first == "Pss:":
            shares[name] = shares.get(name, 0.0) + int(line.split()[1]) / 1024
    return shares


def ports_of(pid: int, server_port: int) -> set[int]:
    """The clients' ports of the connections to `server_port` that this process holds."""
    inodes = {target[len("socket:[") : -1] for target in _links(pid) if target.startswith("socket:[")}
    ports = set()
    for line in _text(CONNECTIONS).splitlines()[1:]:
        _, local, remote, *rest = line.split()
        if int(local.rpartition(":")[2], 16) == server_port and rest[6] in inodes:
            ports.add(int(remote.rpartition(":")[2], 16))
    return ports - {0}


def _segment(line: str) -> str:
    """Name of the segment in a line of maps; ids of workers and models in it do not matter."""
    return _kind(line.split(maxsplit=5)[5])


def _kind(target: str) -> str:
    if target.startswith("/proc/"):
        return "/proc"
    return re.sub(r"\d+", "#", target.partition(":[")[0].removesuffix(" (deleted)"))


def _links(pid: int) -> list[str]:
    links = []
    for entry in _listed(Path(f"/proc/{pid}/fd")):
        try:
            links.append(os.readlink(entry))
        except OSError:
            continue  # closed since the listing
    return links


def _state(pid: int) -> str:
    """One letter; "" when it is gone."""
    words = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return words[0] if words else ""


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []  # the process is gone


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # the process is gone
