"""What the operator sees while models load: a bar at a terminal, else a line every two seconds."""

import time
from typing import TextIO

from ipc.control_messages import Progress
from zerolane.byte_sizes import format_bytes

_BAR_WIDTH = 30
_REDRAW_S = 0.1
_LINE_S = 2.0


class ProgressBar:
    """Draws the last Progress it was told on `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._drawn_at = 0.0
        self._is_drawn = False  # a bar stands on the terminal's current line

    def show(self, progress: Progress) -> None:
        """Draw it, unless the last drawing was a moment ago and this one is not the end."""
        now = time.monotonic()
        pause_s = _REDRAW_S if self._is_terminal else _LINE_S
        if now - self._drawn_at < pause_s and not (self._is_terminal and progress.done >= progress.total):
            return
        self._drawn_at = now
        self._stream.write(f"\r\x1b[K{_bar(progress)}" if self._is_terminal else f"{_line(progress)}\n")
        self._stream.flush()
        self._is_drawn = self._is_terminal

    def end(self) -> None:
        """Take the bar away: whatever is written next starts on a clean line. Twice is fine."""
        if self._is_drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._is_drawn = False


def _fraction(progress: Progress) -> float:
    return min(1.0, progress.done / progress.total) if progress.total > 0 else 0.0


def _line(progress: Progress) -> str:
    amount = f"{format_bytes(progress.done)} of {format_bytes(progress.total)}" if progress.total > 0 else ""
    return f"{progress.stage} {progress.model} {_fraction(progress):4.0%} {amount}".rstrip()


def _bar(progress: Progress) -> str:
    filled = round(_fraction(progress) * _BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {_line(progress)}"
