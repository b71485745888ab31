"""The waiting queue keeps order, skips the closed, and counts what waits."""

import numpy as np

from ipc.messages import SamplingParams
from scheduler.fair_shares import FairShares
from scheduler.stream import Stream, StreamKey
from scheduler.waiting import WaitingQueue


def stream(number: int, priority: int = 0, num_tokens: int = 3) -> Stream:
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
    )


def order(queue: WaitingQueue, limit: int = 100) -> list[int]:
    return [waiting.key.stream_id for waiting in queue.scan(limit)]


def test_priority_then_arrival_then_the_preempted_first() -> None:
    queue = WaitingQueue(FairShares())
    for number, priority in enumerate([1, 0, 1, 0]):
        queue.push(stream(number, priority))
    queue.push_front(stream(9, 1))
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
