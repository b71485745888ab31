"""What is noted about each request while it runs.

Times are seconds of `time.perf_counter`: the loop's own clock counts whole milliseconds.
"""

from dataclasses import dataclass, field
from enum import Enum


class Outcome(Enum):
    OPEN = "open"  # sent, not ended; cut off when the load test was interrupted
    OK = "ok"
    FAILED = "failed"


@dataclass
class RequestRecord:
    """One request. Written by the one coroutine that sends it."""

    began: float  # when it was due: with an open loop a late client counts as latency
    num_pairs: int = 0
    outcome: Outcome = Outcome.OPEN
    error: str = ""  # kind of failure, the same text for the same kind
    error_detail: str = ""
    first_text: float | None = None  # when the first event with text came
    last_text: float | None = None
    ended: float | None = None
    gaps: list[float] = field(default_factory=list)  # seconds between events with text
    num_prompt_tokens: int | None = None  # as the server counted them
    num_output_tokens: int = 0  # as the server counted them; until it says so, events with text

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
