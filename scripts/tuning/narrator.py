"""What is said while it runs: lines that stay, and at a terminal one line below them with what is being done now."""

import asyncio
import sys
from collections.abc import Callable
from typing import TextIO

REFRESH_S = 0.5


class Narrator:
    """Writes to standard error. Elsewhere than at a terminal only the lines that stay are written."""

    def __init__(self, left_s: Callable[[], float], stream: TextIO = sys.stderr) -> None:
        """`left_s`: seconds until it will be over."""
        self._left_s = left_s
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._now = ""

    def say(self, line: str) -> None:
        """A line that stays."""
        self._clear()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def now(self, text: str) -> None:
        """What is being done from now on."""
        self._now = text
        self._show()

    async def keep_showing(self) -> None:
        """The time that is left, until cancelled."""
        try:
            while self._is_terminal:
                self._show()
                await asyncio.sleep(REFRESH_S)
        finally:
            self._clear()

    def _show(self) -> None:
        if self._is_terminal:
            left = max(0, round(self._left_s()))
            self._stream.write(f"\r\x1b[K{left // 60}:{left % 60:02} left: {self._now}")
            self._stream.flush()

    def _clear(self) -> None:
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
