"""`scripts/load_test` against a real server with the fake models."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.children import ROOT
from tests.support.served import Served

pytestmark = pytest.mark.process
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running server."""
    arguments = ["fake:generate", "fake:score", "--kv-cache-memory", "64MiB", "--fake-step-ms", "2"]
    served = Served(["-m", "zerolane", "serve"], arguments, tmp_path_factory.mktemp("served"), {})
    try:
        yield f"http://127.0.0.1:{served.port_of(served.wait_ready())}"
    finally:
        served.close()


def start(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(ROOT / "scripts/load_test"), "--url", url, "--spread", "0", *arguments],
        env={**os.environ, "ZEROLANE_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(url: str, *arguments: str) -> tuple[int, str]:
    """Exit code and standard output."""
    process = start(url, *arguments)
    out, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out


def test_streams_in_a_closed_loop(url: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    size = ["--prompt-tokens", "100", "--max-tokens", "20", "--requests", "24", "--json", str(report)]
    code, out = run(url, "--concurrency", "8", *size)
    assert code == 0, out
    figures = msgspec.json.decode(report.read_bytes())["steps"][0]["figures"]
    assert (figures["num_ok"], figures["mean_output_tokens"]) == (24, 20.0)
    assert figures["mean_prompt_tokens"] == pytest.approx(100, rel=0.15)
    assert figures["time_to_first_token_s"]["count"] == 24


def test_a_ramp_of_a_mixed_workload_becomes_a_page(url: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    size = ["--requests", "12", "--prompt-tokens", "40", "--max-tokens", "10", "--html", str(page)]
    code, out = run(url, "--workload", "mixed", "--ramp", "1,6", "--metrics-interval", "0.1", *size)
    assert code == 0, out
    assert "texts/s" in out
    assert "waiting in its queue" in page.read_text()
    assert "KV memory" in page.read_text()


def test_random_arrivals_without_streaming(url: str) -> None:
    code, out = run(url, "--workload", "chat", "--rate", "40", "--requests", "20", "--max-tokens", "8", "--no-stream")
    assert code == 0, out
    assert "20 ok, 0 failed" in out
    assert "first token" not in out


def test_refused_requests_make_it_fail(url: str) -> None:
    code, out = run(url, "--max-tokens", "100000", "--requests", "3", "--warmup", "0")
    assert code == 1
    assert "3 x HTTP 400 context_length_exceeded" in out


def test_ctrl_c_shows_what_was_measured(url: str) -> None:
    process = start(url, "--requests", "100000", "--max-tokens", "2000", "--concurrency", "4", "--warmup", "0")
    assert process.stderr is not None
    for line in process.stderr:
        if " open, " in line:  # requests are on their way
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "cut off" in out
    assert "output tokens/s" in out
