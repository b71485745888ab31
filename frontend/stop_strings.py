"""Stop strings: text is delivered up to the first stop string, and no part of one ever leaves.

"First" is the one complete soonest when the text is read character by character; of two that end at the same
character the longer. So the outcome does not depend on how the text was divided into tokens or deltas.
"""

from collections.abc import Sequence


class StopStrings:
    """Watches one stream. Text that could be the beginning of a stop string is held back until it is decided.

    `included`: the stop string itself is delivered, too.
    """

    def __init__(self, stops: Sequence[str], included: bool = False) -> None:
        self._stops = tuple(stops)
        self._included = included
        self._longest = max((len(stop) for stop in stops), default=0)
        self._held = ""
        self.matched: str | None = None

    def push(self, text: str) -> str:
        """The text that may be delivered now. After a match `matched` is set and everything further is swallowed."""
        if not self._stops:
            return text
        if self.matched is not None:
            return ""
        seen = self._held + text
        end, stop = self._first_match(seen)
        if stop is not None:
            self.matched = stop
            self._held = ""
            return seen[:end] if self._included else seen[: end - len(stop)]
        num_held = self._num_undecided(seen)
        self._held = seen[len(seen) - num_held :]
        return seen[: len(seen) - num_held]

    def finish(self) -> str:
        """The stream ended by itself: what was held back was no stop string and is delivered."""
        held, self._held = self._held, ""
        return held

    def _first_match(self, text: str) -> tuple[int, str | None]:
        end, found = len(text) + 1, None
        for stop in self._stops:
            start = text.find(stop)
            if start < 0:
                continue
            stop_end = start + len(stop)
            if stop_end < end or (stop_end == end and found is not None and len(stop) > len(found)):
                end, found = stop_end, stop
        return end, found

    def _num_undecided(self, text: str) -> int:
        """Length of the longest end of a text without a match that begins a stop string. What is held stays short where
        it has to be gone through: over a stream about as many ends are tried as it has characters."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            end = text[start:]
            if any(stop.startswith(end) for stop in self._stops):
                return len(end)
        return 0
