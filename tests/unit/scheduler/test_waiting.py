"""The waiting queue keeps order, lets go from anywhere, and counts what waits."""

import numpy as np
import pytest

from ipc.messages import SamplingParams
from scheduler.fair_shares import FairShares
from scheduler.stream import Stream, StreamKey
from scheduler.waiting import WaitingQueue


def stream(number: int, priority: int = 0, num_tokens: int = 3, due: int = 0) -> Stream:
    return Stream(
        key=StreamKey(b"F", number),
        request_id=str(number),
        model=0,
        tokens=np.zeros(num_tokens, np.int32),
        num_prompt_tokens=num_tokens,
        max_total_tokens=10,
        sampling=SamplingParams(),
        stop_token_ids=frozenset(),
        ignore_eos=False,
        cache_salt="",
        priority=priority,
        arrived=0.0,
        due=due,
        number=number,
    )


def order(queue: WaitingQueue, limit: int = 100) -> list[int]:
    return [waiting.key.stream_id for waiting in queue.scan(limit)]


def test_priority_then_who_is_due_first_then_arrival() -> None:
    queue = WaitingQueue(FairShares())
    for number, priority in enumerate([1, 0, 1, 0]):
        queue.push(stream(number, priority))
    queue.push(stream(9, 1, due=-1))
    assert order(queue) == [1, 3, 9, 0, 2]
    assert order(queue, 3) == [1, 3, 9]
    assert queue.num_tokens == 15


def test_removing_from_anywhere() -> None:
    queue = WaitingQueue(FairShares())
    streams = [stream(number) for number in range(4)]
    for waiting in streams:
        queue.push(waiting)
    queue.remove(streams[1])
    assert order(queue) == [0, 2, 3]
    assert (queue.num_waiting, queue.num_tokens) == (3, 9)
    for waiting in (streams[0], streams[3], streams[2]):
        queue.remove(waiting)
    assert (order(queue), queue.num_waiting, queue.num_tokens) == ([], 0, 0)


def test_who_is_due_first_is_found_whatever_came_when() -> None:
    queue = WaitingQueue(FairShares())
    streams = [stream(number, due=number * 7919 % 1000) for number in range(1000)]
    for waiting in streams:
        queue.push(waiting)
    for waiting in streams[::3]:
        queue.remove(waiting)
    left = [waiting for place, waiting in enumerate(streams) if place % 3]
    assert order(queue, 1000) == [waiting.key.stream_id for waiting in sorted(left, key=lambda waiting: waiting.due)]


def test_one_that_does_not_wait_cannot_be_taken_off() -> None:
    queue = WaitingQueue(FairShares())
    queue.push(stream(1))
    with pytest.raises(RuntimeError):
        queue.remove(stream(2))
