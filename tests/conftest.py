"""Marks tests by their folder, so that nobody can forget to: `-m "not process and not api and not chaos"` is quick."""

import signal
from pathlib import Path

import pytest

FOLDERS = ("process", "api", "parity", "chaos", "gpu")
ROOT = Path(__file__).parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: servers under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(ROOT).parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
