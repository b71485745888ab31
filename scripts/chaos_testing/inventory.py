"""What the server holds while it is idle, before and after: processes, descriptors, mappings, files, memory."""

from collections import Counter
from pathlib import Path

from msgspec import Struct

from ipc.operator_protocol import Status
from scripts.chaos_testing import processes

MOST_GROWTH_MIB = 32.0  # of a process that lives through all of it; Python's allocator keeps some
WATCHED_ROLES = ("supervisor", "scheduler", "forkserver")


class Inventory(Struct, frozen=True):
    """One look at an idle server."""

    num_processes: int  # descendants of the supervisor
    num_zombies: int
    num_runtime_files: int
    descriptors: dict[str, dict[str, int]]  # by role: what they lead to -> the most any of its processes has
    segments: dict[str, dict[str, int]]  # by role: mappings of memory segments, the same way
    pss_mib: dict[str, float]  # by role, of those that live long


def take_inventory(status: Status, supervisor_pid: int, runtime_dir: Path) -> Inventory:
    """As things are now."""
    descriptors: dict[str, Counter[str]] = {}
    segments: dict[str, Counter[str]] = {}
    pss: dict[str, float] = {}
    for process in status.processes:
        if not process.pid:
            continue
        role = process.role
        descriptors[role] = descriptors.get(role, Counter()) | processes.descriptors(process.pid)
        segments[role] = segments.get(role, Counter()) | processes.mapped_segments(process.pid)
        if role in WATCHED_ROLES:
            pss[role] = processes.segment_pss_mib(process.pid).get("", 0.0)
    return Inventory(
        num_processes=len(processes.descendants(supervisor_pid)),
        num_zombies=processes.num_zombies(supervisor_pid),
        num_runtime_files=sum(1 for _ in runtime_dir.rglob("*")),
        descriptors={role: dict(kinds) for role, kinds in descriptors.items()},
        segments={role: dict(kinds) for role, kinds in segments.items()},
        pss_mib=pss,
    )


def leaks(before: Inventory, after: Inventory, was_replaced: frozenset[str] = frozenset()) -> list[str]:
    """Sentences about what there is more of. `was_replaced`: roles whose memory is another process' by now."""
    found = []
    for what in ("num_processes", "num_zombies", "num_runtime_files"):
        earlier, later = getattr(before, what), getattr(after, what)
        if later > earlier:
            found.append(f"{what.removeprefix('num_')}: {earlier} before, {later} after")
    found += _more("descriptors", before.descriptors, after.descriptors)
    found += _more("mappings", before.segments, after.segments)
    for role in before.pss_mib.keys() - was_replaced:
        growth = after.pss_mib.get(role, 0.0) - before.pss_mib[role]
        if growth > MOST_GROWTH_MIB:
            found.append(f"memory of the {role}: {growth:.1f} MiB more")
    return found


def _more(what: str, before: dict[str, dict[str, int]], after: dict[str, dict[str, int]]) -> list[str]:
    found = []
    for role, kinds in after.items():
        earlier = before.get(role, {})
        found += [
            f"{what} of a {role} to {kind or 'nothing'}: {earlier.get(kind, 0)} before, {count} after"
            for kind, count in kinds.items()
            if count > earlier.get(kind, 0)
        ]
    return found
