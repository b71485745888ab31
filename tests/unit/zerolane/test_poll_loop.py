"""Events, timers and deadlines of the supervisor's loop."""

import os
import time
from collections.abc import Iterator

import pytest

from zerolane.poll_loop import PollLoop


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def loop() -> Iterator[PollLoop]:
    made = PollLoop(after_events=lambda: None)
    yield made
    made.close()


def test_a_readable_descriptor_is_called_until_unwatched(loop: PollLoop, pipe: tuple[int, int]) -> None:
    seen: list[bytes] = []
    loop.watch(pipe[0], lambda: seen.append(os.read(pipe[0], 1)))
    os.write(pipe[1], b"ab")
    assert loop.run_until(lambda: len(seen) == 2, time.monotonic() + 5)
    loop.unwatch(pipe[0])
    loop.unwatch(pipe[0])
    os.write(pipe[1], b"c")
    assert not loop.run_until(lambda: len(seen) == 3, time.monotonic() + 0.01)


def test_timers_fire_in_order_and_once(loop: PollLoop) -> None:
    fired: list[str] = []
    loop.call_later(0.02, lambda: fired.append("late"))
    loop.call_later(0.0, lambda: fired.append("first"))
    loop.call_later(0.0, lambda: fired.append("second"))
    loop.call_later(0.0, lambda: fired.append("never")).cancel()
    assert loop.run_until(lambda: "late" in fired, time.monotonic() + 5)
    assert fired == ["first", "second", "late"]


def test_a_deadline_ends_the_wait(loop: PollLoop) -> None:
    began = time.monotonic()
    assert not loop.run_until(lambda: False, began + 0.02)
    assert time.monotonic() - began < 1


def test_what_follows_from_events_is_done_after_each_batch(pipe: tuple[int, int]) -> None:
    settled: list[int] = []
    loop = PollLoop(after_events=lambda: settled.append(1))
    loop.call_later(0.0, lambda: None)
    loop.run_until(lambda: bool(settled), time.monotonic() + 5)
    loop.close()
    assert settled == [1]


def test_an_exception_leaves_the_loop_and_the_rest_is_handled_later(loop: PollLoop) -> None:
    fired: list[str] = []

    def fail() -> None:
        raise KeyError("stop")

    loop.call_later(0.0, fail)
    loop.call_later(0.0, lambda: fired.append("after"))
    with pytest.raises(KeyError):
        loop.run_until(lambda: bool(fired), time.monotonic() + 5)
    assert loop.run_until(lambda: bool(fired), time.monotonic() + 5)
