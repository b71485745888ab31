"""SIGTERM, SIGINT and SIGHUP as events of the loop: the first asks the server to stop, the second ends it at once."""

import signal
import socket
from types import FrameType

from zerolane.poll_loop import PollLoop

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequested(Exception):
    """The first signal, or the operator's drain command: leaves the loop."""

    def __init__(self, timeout_s: float | None = None) -> None:
        """`timeout_s`: how long open requests may take, instead of `shutdown_timeout`."""
        super().__init__("stop")
        self.timeout_s = timeout_s


class KillRequested(Exception):
    """The second signal: leaves the loop. `exit_code` is what a shell expects of a process ended by that signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"second {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class StopSignals:
    """From `install` to `close` the signals reach `loop` only."""

    def __init__(self, loop: PollLoop) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._loop = loop
        self.is_stopping = False  # set it when the server ends for another reason: then one signal is enough
        self._is_killing = False
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for signum in _SIGNALS:
            if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup: a closed terminal is no reason to stop
                signal.signal(signum, _nothing)
        loop.watch(self._reader.fileno(), self._on_signal)

    def close(self) -> None:
        """From here on a signal has no effect; the process is about to end."""
        self._loop.unwatch(self._reader.fileno())
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def _on_signal(self) -> None:
        """One signal at a time: a second one that is already there is read again by the next batch."""
        signum = self._reader.recv(1)[0]
        if signum not in _SIGNALS:
            return
        if not self.is_stopping:
            self.is_stopping = True
            raise StopRequested
        if not self._is_killing:
            self._is_killing = True
            raise KillRequested(signum)


def _nothing(signum: int, frame: FrameType | None) -> None:
    """The wake-up descriptor has told the loop already."""
