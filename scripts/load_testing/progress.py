"""What happens while it runs: one line that is written over at a terminal, a plain line every few seconds elsewhere."""

import asyncio
import sys
from typing import TextIO

from scripts.load_testing.options import LoadOptions
from scripts.load_testing.records import Outcome
from scripts.load_testing.traffic import Traffic

AT_TERMINAL_S = 0.25
ELSEWHERE_S = 5.0


class Progress:
    """Shows `traffic` until its task is cancelled."""

    def __init__(self, traffic: Traffic, options: LoadOptions, stream: TextIO = sys.stderr) -> None:
        self._traffic = traffic
        self._options = options
        self._stream = stream
        self._is_terminal = stream.isatty()

    async def show(self) -> None:
        """Runs for ever; cancel it."""
        try:
            while True:
                await asyncio.sleep(AT_TERMINAL_S if self._is_terminal else ELSEWHERE_S)
                self._write(self.line())
        finally:
            if self._is_terminal:
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def line(self) -> str:
        """The state now."""
        records, elapsed = self._traffic.records, self._traffic.elapsed
        num_ok = sum(record.outcome is Outcome.OK for record in records)
        num_failed = sum(record.outcome is Outcome.FAILED for record in records)
        if self._options.is_score:
            done = sum(record.num_pairs for record in records if record.outcome is Outcome.OK)
            rate = f"{done / elapsed:.1f} pairs/s"
        else:
            rate = f"{sum(record.num_output_tokens for record in records) / elapsed:.1f} tokens/s"
        in_flight = len(records) - num_ok - num_failed
        counts = f"{num_ok} of {self._options.requests} done, {in_flight} in flight, {num_failed} failed"
        return f"{elapsed:5.1f} s: {counts}, {rate}"

    def _write(self, line: str) -> None:
        self._stream.write(f"\r\x1b[K{line}" if self._is_terminal else f"{line}\n")
        self._stream.flush()
