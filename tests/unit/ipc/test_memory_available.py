"""What may still be taken: the machine's memory, or a control group's, whichever is less."""

from pathlib import Path

import pytest

from ipc.memory_available import memory_available

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "proc/meminfo", f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def group(folder: Path, limit: str, usage: int, file_pages: int) -> None:
    """A control group of version 2."""
    write(folder / "memory.max", f"{limit}\n")
    write(folder / "memory.current", f"{usage}\n")
    write(folder / "memory.stat", f"anon 1\ninactive_file {file_pages}\nactive_file 0\n")


def test_without_control_groups_it_is_the_machines(root: Path) -> None:
    assert memory_available(root) == 8 * GIB


def test_a_groups_limit_counts_without_file_pages(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/app\n")
    group(root / "sys/fs/cgroup/app", str(4 * GIB), 3 * GIB, GIB)
    assert memory_available(root) == 2 * GIB


def test_the_narrowest_of_nested_groups_counts(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/outer/inner\n")
    group(root / "sys/fs/cgroup/outer", str(GIB), 0, 0)
    group(root / "sys/fs/cgroup/outer/inner", "max", 0, 0)
    assert memory_available(root) == GIB


def test_version_1_without_a_limit(root: Path) -> None:
    write(root / "proc/self/cgroup", "4:cpu,memory:/x\n")
    folder = root / "sys/fs/cgroup/memory/x"
    write(folder / "memory.limit_in_bytes", "9223372036854771712\n")
    write(folder / "memory.usage_in_bytes", "5\n")
    write(folder / "memory.stat", "cache 1\n")
    assert memory_available(root) == 8 * GIB


def test_this_machine_has_some() -> None:
    assert memory_available() > 0
