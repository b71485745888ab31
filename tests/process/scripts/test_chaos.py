"""`scripts/chaos` against the server it starts itself, with the fake models."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from scripts.chaos_testing.processes import children, is_running
from tests.support.children import ROOT
from tests.support.served import eventually

pytestmark = pytest.mark.process
DEADLINE_S = 100.0
QUICK = (
    "--model",
    "fake:generate",
    "--model",
    "fake:score",
    "--server-args",
    "--fake-step-ms 3",
    "--interval",
    "0.2",
    "--min-life",
    "0.5",
)


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and everything it wrote."""
    done = subprocess.run(
        [str(ROOT / "scripts/chaos"), *QUICK, *arguments],
        env={**os.environ, "ZEROLANE_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
    )
    return done.returncode, done.stdout


def test_faults_of_every_kind(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code, out = run("--kills", "5", "--target", "any", "--fault", "mixed", "--seed", "3", "--report", str(report))
    assert code == 0, out
    found = msgspec.json.decode(report.read_bytes())
    assert len(found["faults"]) == 5
    assert all(not criterion["problems"] for criterion in found["criteria"])
    assert found["undisturbed_pause_s"]["count"] > 0


def test_a_failed_criterion_fails_it(tmp_path: Path) -> None:
    code, out = run("--kills", "0", "--reference-rounds", "1", "--server-args", "--max-model-len 64")
    assert code == 1, out
    assert "FAIL undisturbed, every request is answered" in out
    assert "context_length_exceeded" in out


def test_a_server_that_does_not_start_is_shown() -> None:
    code, out = run("--server-args", "--kv-cache-memory 1KiB")
    assert code == 2, out
    assert "the server did not start" in out


def test_who_ends_it_while_its_server_starts_leaves_no_server(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    command = [sys.executable, "-P", "-m", "scripts.chaos_testing", *QUICK, "--keep-log", str(log)]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as soak:
        server = eventually(lambda: children(soak.pid), "it starts a server", DEADLINE_S)[0]
        soak.terminate()
        assert soak.wait(DEADLINE_S) != 0
    assert not is_running(server)
