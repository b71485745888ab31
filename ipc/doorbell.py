"""A doorbell: one eventfd that wakes a process which sleeps on it.

One a process, whoever rings it; it says "look", never what for. Rung while nobody sleeps, it makes the next sleep end
at once.
"""

import contextlib
import os


class Doorbell:
    """Owns one eventfd, non-blocking on both sides."""

    def __init__(self, fd: int) -> None:
        """Take over an eventfd received from another process; it shares the non-blocking flag set by `create`."""
        self._fd = fd

    @classmethod
    def create(cls) -> "Doorbell":
        return cls(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))

    def ring(self) -> None:
        """Wake the owner; many rings before it looks are one."""
        with contextlib.suppress(BlockingIOError):  # the counter is at its end: it is rung already
            os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Take note of all rings so far. Look at the rings' contents after this, not before."""
        with contextlib.suppress(BlockingIOError):  # not rung
            os.eventfd_read(self._fd)

    def fileno(self) -> int:
        """For select, poll and add_reader: readable while rung."""
        return self._fd

    def close(self) -> None:
        """Twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
