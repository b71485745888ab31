"""Memory of open things that do nothing: streamed requests that wait for their turn, and connections kept alive.

    python benchmarks/idle_streams.py [--count 1000]

The server has one running slot, which a long stream of the fake model holds, so that `--count` more requests wait
behind it, each with its connection, its task and its place in the scheduler's queue. Memory is what the processes hold
for themselves (PSS: shared pages counted by their share), before and after.
"""

import argparse
import asyncio
import contextlib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.overhead.process_cpu import children_by_role
from benchmarks.streaming.fake_server import FakeServer
from benchmarks.streaming.load import Load, http_request

STEP_MS = 100
LONG = 3000  # tokens of the stream that holds the slot: minutes
DEADLINE_S = 60.0
ROLES = ("frontend", "scheduler", "worker")
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_WAITING = re.compile(rb"^zerolane_num_requests_waiting\{[^}]*\} (\d+)", re.MULTILINE)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def memory_kib(server: FakeServer) -> dict[str, int]:
    """KiB each role holds."""
    found = dict.fromkeys(ROLES, 0)
    for role, pid in children_by_role(server.pid):
        if role in found:
            match = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
            found[role] += int(match[1]) if match else 0
    return found


async def measure(server: FakeServer, count: int) -> dict[str, dict[str, int]]:
    """KiB by state and role. The server is warm: some requests have come and gone."""
    await _close(await _connected(server, 16, _get("/health")))
    await _close(await _connected(server, 16, http_request(Load(1, 2, "completions"), 2)))
    memory = {"nothing open": memory_kib(server)}
    idle = await _connected(server, count, _get("/health"))
    memory["idle connections"] = memory_kib(server)
    await _close(idle)
    memory["connections closed"] = memory_kib(server)
    waiting = await _connected(server, 1, http_request(Load(1, LONG, "completions"), 0))
    request = http_request(Load(1, 16, "completions"), 1)
    waiting += await _connected(server, count, request, answers=False)
    await _wait_for_queue(server, count)
    memory["waiting streams"] = memory_kib(server)
    await _close(waiting)
    return memory


async def _connected(server: FakeServer, count: int, request: bytes, answers: bool = True) -> list[Connection]:
    """Connections on which one request was sent, and its answer has begun."""
    connections: list[Connection] = []
    for _ in range(count):
        connection = await asyncio.open_connection(server.host, server.port)
        connection[1].write(request)
        connections.append(connection)
        if answers:
            await connection[0].readuntil(b"\r\n\r\n")
    return connections


async def _wait_for_queue(server: FakeServer, count: int) -> None:
    """Until the scheduler says that so many wait."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            reader, writer = (await _connected(server, 1, _get("/metrics", "close")))[0]
            found = _WAITING.search(await reader.read())
            writer.close()
            if found and int(found[1]) >= count:
                return
            await asyncio.sleep(0.1)


async def _close(connections: list[Connection]) -> None:
    for _, writer in connections:
        writer.close()
    for _, writer in connections:
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await asyncio.sleep(0.5)  # the server sees the ends


def _get(path: str, connection: str = "keep-alive") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: zerolane\r\nConnection: {connection}\r\n\r\n".encode()


def report(memory: dict[str, dict[str, int]], count: int) -> str:
    """What is held, and how much more than before for each of them."""
    lines = [f"{'MiB':<20}" + "".join(f" {role:>12}" for role in ROLES)]
    for state, held in memory.items():
        lines.append(f"{state:<20}" + "".join(f" {held[role] / 1024:>12.1f}" for role in ROLES))
    base = memory["nothing open"]
    for state in ("idle connections", "waiting streams"):
        more = {role: (memory[state][role] - base[role]) / count for role in ROLES}
        lines.append(f"{state}, KiB each: " + ", ".join(f"{role} {kib:.1f}" for role, kib in more.items()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    arguments = ["--max-num-seqs=1", f"--fake-step-ms={STEP_MS}", "--log-level=warning"]
    with contextlib.closing(FakeServer(arguments)) as server:
        print(report(asyncio.run(measure(server, options.count)), options.count))


if __name__ == "__main__":
    main()
