"""sentence-transformers in a process of its own, so that it has threads and memory to itself: both ends of it.

The parent writes JSON lines: first the side, then an order a run; the child answers each with one line.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]


class Side(Struct, frozen=True):
    """What the library runs."""

    path: str
    kind: str  # "rerank" or "embed"
    dtype: str  # torch's name
    threads: int


class Order(Struct, frozen=True):
    """One run. `query` is read with each of the texts; an embedder reads the texts only."""

    query: str
    texts: list[str]
    batch_size: int


class Result(Struct, frozen=True):
    """How long it took, and a row of numbers a text."""

    seconds: float
    rows: list[list[float]]


class LibraryProcess:
    """The parent's end. Close it."""

    def __init__(self, side: Side) -> None:
        """Start it and wait until its model is loaded."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.score_sides.in_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._ask(side)

    def run(self, order: Order) -> Result:
        """One run. Raises RuntimeError when the child is gone."""
        return self._ask(order)

    def close(self) -> None:
        """End the child."""
        self._process.communicate(timeout=30.0)

    def _ask(self, question: Struct) -> Result:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the library's process has no pipes")
        self._process.stdin.write(msgspec.json.encode(question) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the library's process ended; its error stands above")
        return msgspec.json.decode(line, type=Result)


def _load(side: Side) -> Callable[[Order], Any]:
    """The library's own call for a run; gives an array."""
    import torch

    torch.set_num_threads(side.threads)
    options = {"dtype": getattr(torch, side.dtype)}
    if side.kind == "rerank":
        from sentence_transformers import CrossEncoder

        scorer: Any = CrossEncoder(side.path, device="cpu", model_kwargs=options)
        return lambda order: scorer.predict(
            [(order.query, text) for text in order.texts], batch_size=order.batch_size, show_progress_bar=False
        )
    from sentence_transformers import SentenceTransformer

    embedder: Any = SentenceTransformer(side.path, device="cpu", model_kwargs=options)
    return lambda order: embedder.encode(
        order.texts, batch_size=order.batch_size, show_progress_bar=False, normalize_embeddings=True
    )


def _main() -> None:
    run = _load(msgspec.json.decode(sys.stdin.buffer.readline(), type=Side))
    _answer(Result(0.0, []))
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        began = time.perf_counter()
        found = run(order)
        seconds = time.perf_counter() - began
        _answer(Result(seconds, found.reshape(len(order.texts), -1).astype(float).tolist()))


def _answer(result: Result) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
