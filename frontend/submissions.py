"""Hands streams to the scheduler, and what is missing of them to its successor: requests outlive schedulers.

    open --> with the scheduler --its last token--> gone from the table
              |                ^
              | scheduler lost | resume (after Welcome), in the old order, as fast as the link takes them
              v                |
             waiting ----------+     RESUME_TIMEOUT_S without a Welcome: each fails with SCHEDULER_LOST

Each submission has a number of its own, so nothing that was sent to an earlier one is ever taken for an answer. Lives
on the event loop.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice

from frontend.open_streams import OpenStreams
from frontend.stream import Stream
from frontend.to_scheduler import ToScheduler
from ipc import fault_points
from ipc.errors import ErrorCode, RequestError

RESUME_TIMEOUT_S = 30.0  # from the loss of a scheduler to its successor's Welcome
RETRY_S = 0.02  # a full link is tried again
MAX_SUBMISSIONS_A_TURN = 256  # then the event loop gets to do other things
FULL_LINK_RETRY_AFTER_S = 1.0
NO_SUCCESSOR = "The scheduler was lost while this request was open, and none took over; please send it again."


class Submissions:
    """Decides when a stream is submitted; `streams` holds all that are open, waiting or not."""

    def __init__(
        self, streams: OpenStreams, to_scheduler: ToScheduler, resume_timeout_s: float = RESUME_TIMEOUT_S
    ) -> None:
        self._streams = streams
        self._to_scheduler = to_scheduler
        self._resume_timeout_s = resume_timeout_s
        self._waiting: dict[int, Stream] = {}  # open, and not with the scheduler
        self._deadline: asyncio.TimerHandle | None = None
        self._next_try: asyncio.Handle | None = None
        self._is_link_full = False  # at the latest try to send what waits

    def open(self, stream: Stream) -> None:
        """A new stream. Raises RequestError QUEUE_FULL when the scheduler does not keep up with reading; the stream is
        open nevertheless, until `close`."""
        self._streams.add(stream)
        is_behind_others = bool(self._waiting) and not self._is_link_full
        if is_behind_others or not self._to_scheduler.is_welcomed:  # the scheduler was lost a moment ago
            self._wait(stream)
        elif self._waiting or not self._submit(stream):
            message = "The server is overloaded; try again later."
            raise RequestError(ErrorCode.QUEUE_FULL, message, retry_after_s=FULL_LINK_RETRY_AFTER_S)

    def close(self, streams: Iterable[Stream]) -> None:
        """Their reader leaves: what is still open of them is given up."""
        still_open = self._streams.remove(stream.stream_id for stream in streams)
        self._to_scheduler.abort([number for number in still_open if self._waiting.pop(number, None) is None])

    def scheduler_lost(self, code: ErrorCode, message: str) -> None:
        """The link was made anew, and nobody computes the open streams any more: they wait for `resume`. `code` and
        `message` are for those that were submitted in vain too often."""
        for stream in self._streams.in_order():
            self._queue_again(stream, code, message)

    def submit_again(self, stream: Stream, code: ErrorCode, message: str) -> None:
        """Something of this one open stream was lost on its way: the scheduler gives up the rest and begins anew."""
        self._to_scheduler.abort([stream.stream_id])
        self._queue_again(stream, code, message)
        self._send_waiting()

    def resume(self) -> None:
        """A scheduler has said Welcome: what waits goes to it."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._send_waiting()

    def fail_all(self, code: ErrorCode, message: str) -> None:
        """Ends every open stream with one error each."""
        streams = self._streams.in_order()
        self._streams.remove([stream.stream_id for stream in streams])
        self._waiting.clear()
        for stream in streams:
            stream.fail(RequestError(code, message))

    def _queue_again(self, stream: Stream, code: ErrorCode, message: str) -> None:
        self._streams.remove([stream.stream_id])
        self._waiting.pop(stream.stream_id, None)
        is_in_vain = stream.is_in_vain
        stream.lost()
        if is_in_vain:
            stream.fail(RequestError(code, message))
            return
        self._streams.add(stream)
        self._wait(stream)

    def _wait(self, stream: Stream) -> None:
        self._waiting[stream.stream_id] = stream
        if self._deadline is None and not self._to_scheduler.is_welcomed:
            self._deadline = asyncio.get_running_loop().call_later(self._resume_timeout_s, self._give_up)

    def _give_up(self) -> None:
        self._deadline = None
        self.fail_all(ErrorCode.SCHEDULER_LOST, NO_SUCCESSOR)

    def _send_waiting(self) -> None:
        """As many as the link takes now; the rest soon. Without a scheduler nothing: `resume` comes."""
        if self._next_try is not None:
            self._next_try.cancel()
            self._next_try = None
        if not self._to_scheduler.is_welcomed:
            return
        for number, stream in list(islice(self._waiting.items(), MAX_SUBMISSIONS_A_TURN)):
            self._is_link_full = not self._submit(stream)
            if self._is_link_full:
                self._next_try = asyncio.get_running_loop().call_later(RETRY_S, self._send_waiting)
                return
            del self._waiting[number]
        if self._waiting:
            self._next_try = asyncio.get_running_loop().call_soon(self._send_waiting)

    def _submit(self, stream: Stream) -> bool:
        """False: the link is full."""
        is_sent = self._to_scheduler.send(stream.submission())
        if is_sent:
            stream.submitted()
            fault_points.reach("frontend.submitted")
        return is_sent
