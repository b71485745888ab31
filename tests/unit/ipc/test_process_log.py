"""One line an event, whoever wrote the text in it."""

import json
import logging
from collections.abc import Iterator

import pytest

from ipc import process_log
from ipc.config import LogFormat

log = logging.getLogger("zerolane.tests.log")


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    logging.getLogger(process_log.ROOT).handlers = []


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    process_log.configure("worker 2", "human", "info")
    log.info("model is ready", extra={"fields": {"model": "tiny chat", "seconds": 1.23456, "path": ""}})
    (line,) = _lines(capsys)
    assert line.endswith(" info worker 2: model is ready model='tiny chat' seconds=1.235 path=''")


def test_a_line_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    process_log.configure("scheduler", "json", "info")
    log.warning("slow\nstep", extra={"fields": {"step": 3, "role": "x", "what": object}})
    (line,) = _lines(capsys)
    event = json.loads(line)
    assert event["level"] == "warning"
    assert event["role"] == "scheduler"
    assert event["logger"] == "zerolane.tests.log"
    assert event["message"] == "slow\nstep"
    assert (event["step"], event["field_role"]) == (3, "x")
    assert event["time"].endswith("+00:00")


def test_less_important_lines_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    process_log.configure("x", "human", "warning")
    log.info("unimportant")
    log.error("important")
    assert [line.split(": ")[1] for line in _lines(capsys)] == ["important"]


def test_configuring_again_does_not_double_lines(capsys: pytest.CaptureFixture[str]) -> None:
    process_log.configure("x", "human", "info")
    process_log.configure("x", "human", "debug")
    log.debug("once")
    assert len(_lines(capsys)) == 1


def test_a_text_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    process_log.configure("x", "human", "info")
    log.info("from %s", "a\n12:00 error forged", extra={"fields": {"name": "b\r\nforged"}})
    assert len(_lines(capsys)) == 1


def test_a_trace_follows_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    formats: tuple[LogFormat, ...] = ("human", "json")
    for log_format in formats:
        process_log.configure("x", log_format, "info")
        try:
            raise ValueError("the reason")
        except ValueError:
            log.exception("it failed")
    lines = _lines(capsys)
    assert lines[1].startswith("Traceback")
    assert "ValueError: the reason" in json.loads(lines[-1])["trace"]
