"""What is noted about each request while it runs.

Times are seconds of `time.perf_counter`: the loop's own clock counts whole milliseconds.
"""

import math
from dataclasses import dataclass, field
from enum import Enum

from scripts.load_testing.workloads import KindName


class Outcome(Enum):
    OPEN = "open"  # sent, not ended; cut off when the load test was interrupted
    OK = "ok"
    FAILED = "failed"


@dataclass
class RequestRecord:
    """One request. Written by the one coroutine that sends it."""

    began: float  # when it was due: with an open loop a late client counts as latency
    kind: KindName = "completion"
    num_texts: int = 0  # documents or texts in it
    sent: float | None = None  # when it was sent in truth
    outcome: Outcome = Outcome.OPEN
    error: str = ""  # kind of failure, the same text for the same kind
    error_detail: str = ""
    first_text: float | None = None  # when the first event with text came
    last_text: float | None = None
    ended: float | None = None
    gaps: list[float] = field(default_factory=list)  # seconds between events with text
    num_prompt_tokens: int | None = None  # as the server counted them
    num_output_tokens: int = 0  # as the server counted them; until it says so, events with text

    @property
    def ttft(self) -> float | None:
        """Seconds until the first token; None: none came."""
        return None if self.first_text is None else self.first_text - self.began

    @property
    def tpot(self) -> float | None:
        """Mean seconds of each token after the first; None: there were not two."""
        if self.first_text is None or self.last_text is None or self.num_output_tokens < 2:
            return None
        return (self.last_text - self.first_text) / (self.num_output_tokens - 1)

    @property
    def e2e(self) -> float | None:
        """Seconds until it succeeded; None: it has not."""
        return self.ended - self.began if self.outcome is Outcome.OK and self.ended is not None else None

    def tokens_until(self, moment: float) -> float:
        """Output tokens that had come by then; where an event holds several, they count as evenly spread."""
        if self.first_text is None:
            return float(self.num_output_tokens) if self.ended is not None and self.ended <= moment else 0.0
        if self.last_text is not None and self.last_text <= moment:
            return float(self.num_output_tokens)
        now, num_events = self.first_text, 0
        for gap in (*self.gaps, math.inf):
            if now > moment:
                break
            now, num_events = now + gap, num_events + 1
        return num_events * self.num_output_tokens / (len(self.gaps) + 1)

    def text_came(self, now: float) -> None:
        if self.last_text is None:
            self.first_text = now
        else:
            self.gaps.append(now - self.last_text)
        self.last_text = now
        self.num_output_tokens += 1

    def succeed(self, now: float) -> None:
        self.outcome, self.ended = Outcome.OK, now

    def fail(self, now: float, error: str, detail: str = "") -> None:
        self.outcome, self.ended, self.error, self.error_detail = Outcome.FAILED, now, error, detail
