"""How every process logs: one line an event on stderr, for people or as JSON.

Loggers are named zerolane.<room>.<file>. What belongs to an event travels as fields, not inside the sentence:
`logger.info("worker is ready", extra={"fields": {"worker": 3}})`.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from ipc.config import LogFormat, LogLevel

ROOT = "zerolane"
LEVELS: dict[LogLevel, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure(role: str, log_format: LogFormat, log_level: LogLevel) -> None:
    """Send this process' log to stderr, with `role` ("supervisor", "worker 2") on every line. The last call counts."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(role) if log_format == "json" else HumanLines(role))
    root = logging.getLogger(ROOT)
    root.handlers = [handler]
    root.setLevel(LEVELS[log_level])
    root.propagate = False  # what libraries log stays theirs


class HumanLines(logging.Formatter):
    """`12:30:05.123 info worker 2: worker is ready seconds=1.2`"""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {key}={_plain(value)}" for key, value in _fields(record).items())
        line = f"{time} {record.levelname.lower()} {self._role}: {_one_line(record.getMessage())}{fields}"
        return line + _trace(self, record)


class JsonLines(logging.Formatter):
    """One JSON object a line; fields become members, with a "field_" before names the line itself uses."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "role": self._role,
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in _fields(record).items():
            event[f"field_{key}" if key in event else key] = value
        if trace := _trace(self, record):
            event["trace"] = trace.strip()
        return msgspec.json.encode(event, enc_hook=str).decode()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _plain(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else _one_line(str(value))
    return repr(text) if " " in text or not text else text


def _one_line(text: str) -> str:
    """A client's text in a message must not begin a line of its own."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return "\n" + formatter.formatException(record.exc_info) if record.exc_info else ""
