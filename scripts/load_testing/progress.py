"""What happens while it runs: one line that is written over at a terminal, a plain line every few seconds elsewhere."""

import asyncio
import sys
from typing import TextIO

from scripts.load_testing.options import LoadOptions
from scripts.load_testing.records import Outcome
from scripts.load_testing.traffic import Traffic

AT_TERMINAL_S = 0.25
ELSEWHERE_S = 5.0
FIRST_S = 1.0  # until the first line elsewhere: it shows that something happens


class Progress:
    """Shows the step it was told of last until its task is cancelled."""

    def __init__(self, options: LoadOptions, stream: TextIO = sys.stderr) -> None:
        self._steps = options.steps
        self._number = 0
        self._traffic: Traffic | None = None
        self._stream = stream
        self._is_terminal = stream.isatty()

    def step_began(self, number: int, traffic: Traffic) -> None:
        """From now on this step is shown."""
        self._number, self._traffic = number, traffic

    async def show(self) -> None:
        """Runs for ever; cancel it."""
        wait_s = AT_TERMINAL_S if self._is_terminal else FIRST_S
        try:
            while True:
                await asyncio.sleep(wait_s)
                self._write(self.line())
                wait_s = AT_TERMINAL_S if self._is_terminal else ELSEWHERE_S
        finally:
            if self._is_terminal:
                self._stream.write("\r\x1b[K")
                self._stream.flush()

    def line(self) -> str:
        """The state now."""
        if self._traffic is None:
            return "getting ready"
        options, traffic = self._steps[self._number], self._traffic
        ok = [record for record in traffic.records if record.outcome is Outcome.OK]
        num_failed = sum(record.outcome is Outcome.FAILED for record in traffic.records)
        num_open = len(traffic.records) - len(ok) - num_failed
        elapsed = max(traffic.elapsed, 1e-6)
        num_tokens = sum(record.num_output_tokens for record in traffic.records)
        num_texts = sum(record.num_texts for record in ok)
        rates = [f"{num_tokens / elapsed:.1f} tokens/s"] if num_tokens else []
        rates += [f"{num_texts / elapsed:.1f} texts/s"] if num_texts else []
        step = f"step {self._number + 1} of {len(self._steps)}, {options.load}, " if len(self._steps) > 1 else ""
        counts = f"{len(ok)} done, {num_open} open, {num_failed} failed"
        most = f"at most {options.num_requests} requests or {options.duration:g} s"
        return f"{step}{elapsed:.1f} s: {', '.join([counts, *rates])} ({most})"

    def _write(self, line: str) -> None:
        self._stream.write(f"\r\x1b[K{line}" if self._is_terminal else f"{line}\n")
        self._stream.flush()
