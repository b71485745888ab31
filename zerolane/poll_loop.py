"""The supervisor's one loop: descriptors that become readable, and timers. No threads.

A callback may watch, unwatch and set timers; it must not block. An exception from a callback leaves the loop through
`run_until`, which can be called again.
"""

import heapq
import itertools
import selectors
import time
from collections.abc import Callable

Callback = Callable[[], None]


class Timer:
    """One future call; `cancel` it when it is not wanted any more."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Callback | None = callback

    def cancel(self) -> None:
        self._callback = None

    def fire(self) -> None:
        if self._callback is not None:
            callback, self._callback = self._callback, None
            callback()


class PollLoop:
    """Owns the selector and the timers; watched descriptors stay their owners'."""

    def __init__(self, after_events: Callback) -> None:
        """`after_events` is called after each batch of events: whatever follows from them is done there."""
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []  # heap by due time
        self._sequence = itertools.count()  # timers of equal time fire in the order they were set
        self._after_events = after_events

    def watch(self, fd: int, callback: Callback) -> None:
        """Call back whenever `fd` is readable or at its end, until `unwatch`, which comes before it is closed."""
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        """Twice is fine."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def call_later(self, delay_s: float, callback: Callback) -> Timer:
        """Call back once, `delay_s` from now."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._sequence), timer))
        return timer

    def run_until(self, condition: Callable[[], bool], deadline: float | None = None) -> bool:
        """Handle events until `condition` holds (True) or time.monotonic() passes `deadline` (False; None: never)."""
        while not condition():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            self._handle_batch(deadline)
        return True

    def close(self) -> None:
        self._selector.close()
        self._timers.clear()

    def _handle_batch(self, deadline: float | None) -> None:
        """Wait for something to happen, then handle all that did."""
        for key, _ in self._selector.select(self._sleep_s(deadline)):
            if self._selector.get_map().get(key.fd) is key:  # a callback before it may have closed the descriptor
                key.data()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()
        self._after_events()

    def _sleep_s(self, deadline: float | None) -> float | None:
        due = [self._timers[0][0]] if self._timers else []
        if deadline is not None:
            due.append(deadline)
        return max(0.0, min(due) - time.monotonic()) if due else None
