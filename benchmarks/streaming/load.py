"""One load on a server of the fake model: N streams from M client processes, and what every process spent on it."""

import subprocess
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.overhead.process_cpu import role_seconds
from benchmarks.streaming.fake_server import MODEL, FakeServer
from benchmarks.streaming.lean_client import ClientOrder, ClientResult, post

ROOT = Path(__file__).resolve().parents[2]
ENDPOINTS = ("completions", "chat")


class Load(Struct, frozen=True):
    """What is asked of the server."""

    num_streams: int
    output_tokens: int
    endpoint: str  # one of ENDPOINTS


class LoadRun(Struct, frozen=True):
    """What came of it. `decode` counts from the moment when every stream has begun."""

    tokens_per_s: float
    events_per_token: float
    bytes_per_token: float
    reads_per_token: float
    cpu_us_per_token: dict[str, float]  # by role, and "client"


class Clients:
    """Client processes. Close them."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "benchmarks.streaming.lean_client"]
        self._processes = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)
        ]

    def run(self, server: FakeServer, load: Load) -> LoadRun:
        """All streams at once, shared among the processes. Raises RuntimeError when a client fails."""
        before = role_seconds(server.pid)
        results = self._results(server, load)
        num_tokens = load.num_streams * load.output_tokens
        spent = {role: seconds - before.get(role, 0.0) for role, seconds in role_seconds(server.pid).items()}
        spent["client"] = sum(result.cpu_s for result in results)
        elapsed = max(result.ended for result in results) - min(result.began for result in results)
        return LoadRun(
            tokens_per_s=num_tokens / elapsed,
            events_per_token=sum(result.num_events for result in results) / num_tokens,
            bytes_per_token=sum(result.num_bytes for result in results) / num_tokens,
            reads_per_token=sum(result.num_reads for result in results) / num_tokens,
            cpu_us_per_token={role: 1e6 * seconds / num_tokens for role, seconds in spent.items()},
        )

    def close(self) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(10.0)
            if process.stdout is not None:
                process.stdout.close()

    def _results(self, server: FakeServer, load: Load) -> list[ClientResult]:
        requests = [http_request(load, seed) for seed in range(16)]
        for number, process in enumerate(self._processes):
            count = len(range(number, load.num_streams, len(self._processes)))
            if process.stdin is None:
                raise RuntimeError("a client has no standard input")
            process.stdin.write(msgspec.json.encode(ClientOrder(server.host, server.port, count, requests)) + b"\n")
            process.stdin.flush()
        return [_answer(process) for process in self._processes]


def _answer(process: "subprocess.Popen[bytes]") -> ClientResult:
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line:
        raise RuntimeError("a client ended; its error stands above")
    return msgspec.json.decode(line, type=ClientResult)


def http_request(load: Load, seed: int) -> bytes:
    """The bytes of one streaming request."""
    common = {"model": MODEL, "max_tokens": load.output_tokens, "ignore_eos": True, "stream": True, "temperature": 0}
    text = f"prompt {seed:04d}"
    asked: dict[str, object] = {"prompt": text}
    path = "/v1/completions"
    if load.endpoint == "chat":
        path, asked = "/v1/chat/completions", {"messages": [{"role": "user", "content": text}]}
    return post(path, msgspec.json.encode({**common, **asked}))
