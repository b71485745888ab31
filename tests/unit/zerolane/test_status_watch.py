"""The live table: rates between two looks, redrawn on a terminal, appended elsewhere, ended without a trace."""

import io
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from ipc.operator_protocol import Status
from tests.unit.zerolane.test_status_table import STATUS
from zerolane.operator_client import NoServer
from zerolane.status_watch import StatusWatch


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def looks(*outcomes: Status | BaseException) -> Callable[[], Status]:
    """One after the other."""
    left = list(outcomes)

    def look() -> Status:
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return look


def no_pause(seconds: float) -> None:
    """Time is not what is tested."""


def test_elsewhere_it_appends_until_the_server_ends() -> None:
    out = io.StringIO()
    later = replace(STATUS, models=[replace(STATUS.models[0], tokens_total=5_000)])
    StatusWatch(looks(STATUS, later, NoServer("The server cannot be reached.")), 1.0, out, None).run(no_pause)
    text = out.getvalue()
    assert "\x1b" not in text
    assert text.count("zerolane 1.2 on http://here:80") == 2
    assert text.count("TOKENS/s") == 1  # the first look has nothing to compare with
    assert text.endswith("\nThe server cannot be reached.\n")


def test_a_terminal_is_redrawn_from_its_corner() -> None:
    out = Terminal()
    StatusWatch(looks(STATUS, STATUS, NoServer("Gone.")), 1.0, out, None).run(no_pause)
    assert out.getvalue().count("\x1b[H") == 2
    assert out.getvalue().startswith("\x1b[2J\x1b[H")
    assert "\x1b[K\n" in out.getvalue()


def test_ctrl_c_ends_it() -> None:
    out = io.StringIO()
    StatusWatch(looks(STATUS, KeyboardInterrupt()), 1.0, out, None).run(no_pause)
    assert out.getvalue().endswith("\n\n")


def test_without_a_server_it_says_so_at_once() -> None:
    with pytest.raises(NoServer):
        StatusWatch(looks(NoServer("No server.")), 1.0, io.StringIO(), None).run(no_pause)


def test_for_scripts_a_line_a_look() -> None:
    out = Terminal()
    watch = StatusWatch(looks(STATUS, STATUS, NoServer("Gone.")), 1.0, out, lambda status: status.version)
    watch.run(no_pause)
    assert out.getvalue() == "1.2\n1.2\n\nGone.\n"
