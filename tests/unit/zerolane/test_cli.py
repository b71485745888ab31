"""Commands, exit codes, and what is printed when the usage is wrong. No server is started."""

import os
from pathlib import Path

import pytest

from ipc.config import ServeConfig
from zerolane import __version__, cli
from zerolane.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"zerolane {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["serve", "--port", "x"],
        ["serve", "--no-such-option"],
        ["serve", "--kv-cache-memory", "much"],
        ["serve", "fake:generate", "--chat-template", "/no/such/file"],
        ["serve", "/no/such/model"],
        ["serve", "fake:generate", "fake:generate"],
        ["scale"],
        ["scale", "--workers", "0"],
        ["scale", "--spares", "-1"],
        ["scale", "--pools", "17"],
        ["restart"],
        ["restart", "--rolling", "--timeout", "soon"],
        ["drain", "--timeout", "-1"],
        ["status", "--watch", "0"],
        ["serve", "fake:generate", "--prefill-workers", "1"],
        ["serve", "fake:generate", "--decode-workers", "1"],
        ["serve", "fake:generate", "--prefill-workers", "40", "--decode-workers", "40"],
        ["serve", "fake:generate", "--pools", "2"],
        ["status", "--port", "x"],
        ["serve", "fake:generate", "--api-key", ""],
        ["serve", "fake:generate", "--api-key-file", "/no/such/file"],
        ["serve", "fake:generate", "--allow-credentials"],
        ["serve", "fake:generate", "--ssl-certfile", "/no/such/file"],
        ["serve", "--config", "/no/such/file"],
    ],
)
def test_bad_usage_is_exit_code_2_with_a_hint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("zerolane: ")
    assert "--help'" in printed.err


def test_help_of_serve_shows_options_with_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--kv-cache-memory" in text
    assert "(default: 2GiB)" in text
    assert "[NAME=]MODEL" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--watch"],
        ["status", "--port", "1"],
        ["scale", "--workers", "2"],
        ["scale", "--spares", "0", "--pools", "1"],
        ["restart", "--rolling"],
        ["drain", "--timeout", "5"],
    ],
)
def test_without_a_server_the_commands_say_so(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--runtime-dir", str(tmp_path)]) == 1
    assert "No zerolane server runs" in capsys.readouterr().err


def test_a_restart_without_rolling_is_refused_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restart"]) == 2
    assert "say --rolling: processes are replaced one by one" in capsys.readouterr().err


def test_a_gpu_is_asked_for_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "why_no_gpu", lambda: "this torch is built without CUDA")
    assert main(["serve", "fake:generate", "--device", "cuda"]) == 2
    assert "argument --device: no GPU is usable: this torch is built without CUDA" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "key"), [([], "from environment"), (["--admin-key", "from flag"], "from flag")])
def test_the_admin_key_may_come_from_the_environment(
    flag: list[str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZEROLANE_ADMIN_KEY", "from environment")
    seen: list[ServeConfig] = []

    class NoSupervisor:
        def __init__(self, config: ServeConfig, specs: object) -> None:
            seen.append(config)

        def run(self) -> int:
            return 0

    monkeypatch.setattr("zerolane.supervisor.Supervisor", NoSupervisor)
    assert main(["serve", "fake:generate", *flag]) == 0
    assert seen[0].admin_key == key
    assert "ZEROLANE_ADMIN_KEY" not in os.environ
