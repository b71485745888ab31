"""Every test here gives back what it took."""

from collections.abc import Callable, Iterator

import pytest

from ipc.segments import Segment
from tests.support.leaks import nothing_left_behind


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def make_segment(_leaves_nothing: None) -> Iterator[Callable[[int], Segment]]:
    """Makes segments and closes them after the test."""
    segments: list[Segment] = []

    def make(size: int) -> Segment:
        segments.append(Segment.create("test", size))
        return segments[-1]

    yield make
    for segment in segments:
        segment.close()
