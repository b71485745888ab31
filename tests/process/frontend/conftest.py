"""A scripted scheduler and a frontend that serves two fake models.

One pair serves all tests of a module that leave it whole; `test_life.py` and others that end it take their own.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.frontend_under_test import FrontendUnderTest, fake_cards
from tests.support.scripted_scheduler import ScriptedScheduler


@contextmanager
def serving_pair(runtime_dir: Path) -> Iterator[tuple[FrontendUnderTest, ScriptedScheduler]]:
    """Both, ended with the block."""
    scheduler = ScriptedScheduler(runtime_dir)
    try:
        frontend = FrontendUnderTest(runtime_dir, scheduler.address, fake_cards())
        try:
            frontend.load_models()
            yield frontend, scheduler
        finally:
            frontend.close()
    finally:
        scheduler.close()


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """Short, for socket names are limited to 108 bytes; 0700 by mkdtemp."""
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shared_pair() -> Iterator[tuple[FrontendUnderTest, ScriptedScheduler]]:
    with (
        tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder,
        serving_pair(Path(folder)) as pair,
    ):
        yield pair


@pytest.fixture
def frontend(shared_pair: tuple[FrontendUnderTest, ScriptedScheduler]) -> FrontendUnderTest:
    return shared_pair[0]


@pytest.fixture
def scheduler(shared_pair: tuple[FrontendUnderTest, ScriptedScheduler]) -> ScriptedScheduler:
    shared_pair[1].forget()
    return shared_pair[1]


@pytest.fixture
def own_pair(runtime_dir: Path) -> Iterator[tuple[FrontendUnderTest, ScriptedScheduler]]:
    with serving_pair(runtime_dir) as pair:
        yield pair
