"""Commands, exit codes, and what is printed when the usage is wrong. No server is started."""

from pathlib import Path

import pytest

from zerolane import __version__
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
        ["status", "--port", "x"],
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


@pytest.mark.parametrize("arguments", [["status"], ["status", "--port", "1"], ["scale", "--workers", "2"]])
def test_without_a_server_the_commands_say_so(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--runtime-dir", str(tmp_path)]) == 1
    assert "No zerolane server runs" in capsys.readouterr().err
