"""`scripts/scale_workers` says what is wrong with its arguments before it looks for Python or a server."""

import os
import subprocess

import pytest

from tests.support.children import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts/scale_workers"), *arguments]
    environment = os.environ | {"ZEROLANE_PYTHON": "/no/such/python"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "N is missing"),
        (["0"], "N is '0'"),
        (["65"], "N is '65'"),
        (["two"], "N is 'two'"),
        (["2.5"], "N is '2.5'"),
        (["--port", "1"], "N is '--port'"),
        (["2", "3"], "unknown argument '3'"),
        (["2", "--json"], "unknown argument '--json'"),
        (["2", "--port"], "--port needs a value"),
    ],
)
def test_bad_usage(arguments: list[str], said: str) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"scripts/scale_workers: {said}")
    assert "usage: scripts/scale_workers N" in ended.stderr


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["2", "--help"]])
def test_help(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: scripts/scale_workers N")
