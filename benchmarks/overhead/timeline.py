"""When tokens came, and the two rates that follow. Pure arithmetic.

    start                 all streams decode                 end
      |---- prefills ----|=================|-- some are done --|
                       begin             finish

The decode rate counts the tokens between `begin`, when the last stream got its first token, and `finish`, when the
first stream got its last one: every stream decodes in every step of it. The run rate counts all tokens, start to end.
"""

from dataclasses import dataclass, field

from msgspec import Struct


class Rates(Struct, frozen=True):
    """Of one run. Rates in tokens a second over all streams."""

    decode: float
    run: float
    decode_s: float  # length of the window the decode rate is measured in
    run_s: float
    events_per_token: float  # below 1: tokens came several at once


@dataclass
class Timeline:
    """Filled while a run goes on: which stream got how many tokens when."""

    start: float
    events: list[tuple[float, int, int]] = field(default_factory=list)  # time, stream, tokens; in the order of time

    def add(self, now: float, stream: int, num_tokens: int) -> None:
        self.events.append((now, stream, num_tokens))


def rates(timeline: Timeline, num_streams: int, tokens_per_stream: int) -> Rates:
    """Raises ValueError when streams are missing, or when there was no moment in which all of them decoded.

    Where several tokens came as one event, the window's events stand for their share of all tokens.
    """
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for now, stream, _ in timeline.events:
        first.setdefault(stream, now)
        last[stream] = now
    if len(first) != num_streams:
        raise ValueError(f"{len(first)} of {num_streams} streams got tokens")
    begin, finish, end = max(first.values()), min(last.values()), max(last.values())
    if finish <= begin:
        raise ValueError("the first stream was done before the last one began: ask for more output tokens")
    counted = sum(count for _, _, count in timeline.events)
    in_window = sum(count for now, _, count in timeline.events if begin < now <= finish)
    num_tokens = num_streams * tokens_per_stream
    return Rates(
        decode=in_window * (num_tokens / counted) / (finish - begin),
        run=num_tokens / (end - timeline.start),
        decode_s=finish - begin,
        run_s=end - timeline.start,
        events_per_token=counted / num_tokens,
    )
