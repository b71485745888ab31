"""The GPU benchmarks run, on the CPU with a tiny model; what they measure there means nothing."""

from pathlib import Path

import pytest

from benchmarks.gpu import decode_bandwidth, offline_throughput


def test_they_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--device", "cpu", "--tiny", "--model-dir", str(tmp_path)]
    sides = ["--sides", "ours,plain", "--runs", "1", "--requests", "2"]
    assert offline_throughput.main([*where, *sides]) == 0
    assert decode_bandwidth.main([*where, "--batches", "2", "--prompt", "10", "--steps", "4"]) == 0
    out = capsys.readouterr().out
    assert "ours: " in out
    assert "of the bandwidth" in out
