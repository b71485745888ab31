"""Fake CUDA memory between real processes, which are killed."""

from collections.abc import Iterator

import pytest

from ipc.device_memory.fake_cuda import FakeCudaOpener, fake_uuid
from ipc.device_memory.interface import MemoryHandle, RuleBroken
from tests.support.children import Children

SIZE = 10_000
GPU = fake_uuid(0)
CHILD = "tests.support.device_memory_child"


@pytest.fixture
def children(_leaves_nothing: None) -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


def test_real_processes_hand_memory_over(children: Children) -> None:
    """Exporter and importer are two processes; the importer is killed with the pool open, then the exporter."""
    exporter = children.start(CHILD, "export", SIZE)
    key = bytes.fromhex(exporter.read_line())
    handle = MemoryHandle(GPU, key, SIZE, 1)
    importer = children.start(CHILD, "import", SIZE, key.hex())
    assert importer.read_line() == "from the exporter"
    opener = FakeCudaOpener(GPU)
    assert bytes(opener.open(handle)[-17:]) == b"from the importer"
    opener.close(handle)
    exporter.write_line("free")
    assert exporter.read_line() == "memory was freed before 1 processes closed it"
    importer.kill()
    exporter.write_line("free")
    assert exporter.read_line() == "freed"
    exporter.kill()
    with pytest.raises(RuleBroken, match="gone"):
        opener.open(handle)
