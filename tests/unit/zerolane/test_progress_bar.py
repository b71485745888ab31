"""A bar at a terminal, lines elsewhere."""

import io

import pytest

from ipc.control_messages import Progress
from zerolane.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_taken_away() -> None:
    screen = Terminal()
    bar = ProgressBar(screen)
    bar.show(Progress("m", "loading", 1 << 20, 4 << 20))
    assert "[########......................] loading m  25% 1.0 MiB of 4.0 MiB" in screen.getvalue()
    bar.show(Progress("m", "loading", 4 << 20, 4 << 20))
    assert "100%" in screen.getvalue()
    bar.end()
    bar.end()
    assert screen.getvalue().endswith("\r\x1b[K")
    assert "\n" not in screen.getvalue()


def test_elsewhere_a_line_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("zerolane.progress_bar.time.monotonic", lambda: clock)
    log = io.StringIO()
    bar = ProgressBar(log)
    for done in range(5):
        bar.show(Progress("m", "downloading", done, 4))
        clock += 1.0
    bar.end()
    assert log.getvalue().splitlines() == [
        "downloading m   0% 0 B of 4 B",
        "downloading m  50% 2 B of 4 B",
        "downloading m 100% 4 B of 4 B",
    ]


def test_an_unknown_total_is_no_division_by_zero() -> None:
    log = io.StringIO()
    ProgressBar(log).show(Progress("m", "compiling", 0, 0))
    assert log.getvalue() == "compiling m   0%\n"
