"""`scripts/tune` with servers of its own, which serve the fake model."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from scripts.chaos_testing.processes import descendants, is_running
from tests.support.children import ROOT
from tests.support.served import eventually
from zerolane.config_file import read_config_file

pytestmark = pytest.mark.process
DEADLINE_S = 100.0
BASE = "models: ['fake:generate']\nkv-cache-memory: 64MiB\nfake-step-ms: 20\n"
LOAD = ("--workload", "completion", "--concurrency", "4", "--load-args=--max-tokens 8 --prompt-tokens 32")


def start(folder: Path, *arguments: str, base: str = BASE) -> subprocess.Popen[str]:
    (folder / "base.yaml").write_text(base)
    files = (f"--config={folder / 'base.yaml'}", f"--output={folder / 'serve.yaml'}", f"--json={folder / 'r.json'}")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "scripts.tuning", *files, *LOAD, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_it_tries_confirms_and_writes_a_file_that_zerolane_reads(tmp_path: Path) -> None:
    process = start(tmp_path, "--time-limit", "40", "--sweep", "streams")
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert "<- chosen" in out
    assert "WARNING" not in out  # every server ended well and left nothing
    found = read_config_file(tmp_path / "serve.yaml")
    assert (found.models, found.values["kv_cache_memory"]) == (["fake:generate"], "64MiB")
    report = msgspec.json.decode((tmp_path / "r.json").read_bytes())
    assert report["comparisons"][0]["challenger"] == {"max_num_seqs": 2}
    assert report["comparisons"][0]["outcome"] == "worse"  # half of the streams wait, whatever else the cores do


def test_who_ends_it_gets_the_best_so_far_and_no_server_stays(tmp_path: Path) -> None:
    with start(tmp_path, "--sweep", "batched-tokens") as process:
        assert process.stderr is not None
        while "every change is tried" not in process.stderr.readline():
            assert process.poll() is None
        own = eventually(lambda: descendants(process.pid), "it has started a server", DEADLINE_S)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 130, err
    assert "Interrupted: the best so far (defaults)" in out
    assert "WARNING" not in out  # the servers were told to end once, by it alone
    assert read_config_file(tmp_path / "serve.yaml").models == ["fake:generate"]
    assert not [pid for pid in own if is_running(pid)]


def test_a_server_that_does_not_start_is_said(tmp_path: Path) -> None:
    process = start(tmp_path, base=BASE.replace("64MiB", "1KiB"))
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "tune: " in err
    assert "KV" in err
    assert not (tmp_path / "serve.yaml").exists()
