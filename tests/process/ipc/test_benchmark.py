"""The benchmark runs from a checkout and measures every transport that is installed."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_benchmark_runs_from_a_checkout(tmp_path: Path) -> None:
    arguments = ["--seconds", "1", "--sizes", "64,8192", "--modes", "block", "--json", str(tmp_path / "result.json")]
    command = [sys.executable, str(ROOT / "benchmarks" / "ipc.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    cases = json.loads((tmp_path / "result.json").read_text())["cases"]
    failures = [case for case in cases if case["failure"] not in ("", "no time left")]
    assert failures == []
    assert {case["transport"] for case in cases} >= {"ring+arena", "pyzmq", "mp.Queue", "mp.Pipe"}
    assert "ring+arena" in done.stdout
