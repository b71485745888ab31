"""`zerolane status --watch`: the table again and again, over itself on a terminal, one after the other elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from ipc.errors import ZerolaneError
from ipc.operator_protocol import Status
from zerolane.status_table import Earlier, status_text

_HOME, _CLEAR_LINE, _CLEAR_BELOW, _CLEAR_ALL = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[2J"

Look = Callable[[], Status]


class StatusWatch:
    """Looks every `interval_s` and writes to `out`."""

    def __init__(self, look: Look, interval_s: float, out: TextIO, render: Callable[[Status], str] | None) -> None:
        """`render`: how one look is written instead of as tables (JSON for scripts)."""
        self._look = look
        self._interval_s = interval_s
        self._out = out
        self._render = render
        self._redraws = out.isatty() and render is None
        self._earlier: tuple[Status, float] | None = None

    def run(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Until Ctrl-C or the server's end. Raises ZerolaneError when not even the first look succeeds."""
        first = self._look()
        if self._redraws:
            self._out.write(_CLEAR_ALL)
        self._show(first)
        try:
            while True:
                pause(self._interval_s)
                self._show(self._look())
        except KeyboardInterrupt:
            self._out.write("\n")
        except ZerolaneError as error:
            self._out.write(f"\n{error}\n")

    def _show(self, status: Status) -> None:
        now = time.monotonic()
        earlier = None if self._earlier is None else Earlier(self._earlier[0], max(1e-3, now - self._earlier[1]))
        self._earlier = (status, now)
        text = self._render(status) if self._render else status_text(status, earlier)
        if self._redraws:
            text = _HOME + text.replace("\n", _CLEAR_LINE + "\n") + _CLEAR_LINE + _CLEAR_BELOW
        self._out.write(text + "\n")
        self._out.flush()
