"""Marks tests by their folder, so that nobody can forget to: `-m "not process and not api and not chaos"` is quick."""

from pathlib import Path

import pytest

FOLDERS = ("process", "api", "parity", "chaos", "gpu")
ROOT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(ROOT).parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
