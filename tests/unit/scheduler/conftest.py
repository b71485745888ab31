"""Engines that are closed at the end of a test, and whose invariants held."""

from collections.abc import Callable, Iterator

import pytest

from scheduler import integrity
from tests.support.engine_in_process import Engine


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(**options: object) -> Engine:
        engines.append(Engine(**options))  # type: ignore[arg-type]
        return engines[-1]

    yield make
    for engine in engines:
        integrity.check(engine.state)
        engine.close()
