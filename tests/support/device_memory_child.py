"""A process with a fake CUDA pool of its own, or one that opens another's and stays until it is killed.

python -m tests.support.device_memory_child export SIZE         prints the key, then tries to free at each line
python -m tests.support.device_memory_child import SIZE KEY     prints what it reads, and waits
"""

import sys

from ipc.device_memory.fake_cuda import FakeCudaOpener, FakeCudaPool, fake_uuid
from ipc.device_memory.interface import MemoryHandle, RuleBroken

GREETING = b"from the exporter"
ANSWER = b"from the importer"


def export(size: int) -> None:
    pool = FakeCudaPool(size, fake_uuid(0))
    pool.buffer[: len(GREETING)] = GREETING
    print(pool.export(1).key.hex(), flush=True)
    for _ in sys.stdin:
        try:
            pool.free()
            print("freed", flush=True)
        except RuleBroken as error:
            print(error, flush=True)


def import_(size: int, key: str) -> None:
    buffer = FakeCudaOpener(fake_uuid(0)).open(MemoryHandle(fake_uuid(0), bytes.fromhex(key), size, 1))
    buffer[-len(ANSWER) :] = ANSWER
    print(bytes(buffer[: len(GREETING)]).decode(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(int(sys.argv[2]))
    else:
        import_(int(sys.argv[2]), sys.argv[3])
