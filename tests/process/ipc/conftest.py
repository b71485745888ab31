"""Every test here owns its processes and gives back what it took."""

from collections.abc import Callable, Iterator

import pytest
import uvloop

from ipc.segments import Segment
from tests.support.children import Child, Children
from tests.support.leaks import nothing_left_behind

CHILD = "tests.support.ipc_child"
StartChild = Callable[..., Child]


@pytest.fixture(scope="session", autouse=True)
def _libuv_has_its_pipe() -> None:
    """libuv makes one pair of pipes for signals with its first loop and keeps it: no leak of any test."""
    uvloop.new_event_loop().close()


@pytest.fixture(autouse=True)
def _leaves_nothing(_libuv_has_its_pipe: None) -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def start_child(_leaves_nothing: None) -> Iterator[StartChild]:
    """`start_child(role, argument..., fds=[...])` starts a role of tests/support/ipc_child.py."""
    children = Children()

    def start(role: str, *arguments: object, fds: tuple[int, ...] = ()) -> Child:
        return children.start(CHILD, role, *arguments, fds=fds)

    yield start
    children.close()


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
