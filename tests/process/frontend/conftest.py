"""A scripted scheduler and a frontend that serves two fake models, both ended with the test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.frontend_under_test import FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """Short, for socket names are limited to 108 bytes; 0700 by mkdtemp."""
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def scheduler(runtime_dir: Path) -> Iterator[ScriptedScheduler]:
    scripted = ScriptedScheduler(runtime_dir)
    yield scripted
    scripted.close()


@pytest.fixture
def frontend(runtime_dir: Path, scheduler: ScriptedScheduler) -> Iterator[FrontendUnderTest]:
    under_test = FrontendUnderTest(runtime_dir, scheduler.address, fake_cards())
    try:
        under_test.load_models()
        yield under_test
    finally:
        under_test.close()
