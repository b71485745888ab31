"""The table of the streams this frontend has open, by their number at the scheduler.

`from_scheduler.py` pushes tokens and scores in as they arrive; a request's handler waits for news and takes out what
has gathered since. All of it lives on one event loop.

    scheduler --push--> TokenStream --news--> StreamGroup --changed()--> handler --> SSE or JSON
"""

from collections.abc import Iterable

from frontend.stream import Stream


class OpenStreams:
    """In the order they were added. A stream is taken out when it finishes, fails or is given up."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self.get = self._streams.get  # (stream_id) -> Stream | None; the dict's own: it is asked for every token
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: Stream) -> None:
        """Enters it under a new number."""
        stream.stream_id = self._next_id
        self._next_id += 1
        self._streams[stream.stream_id] = stream

    def in_order(self) -> list[Stream]:
        return list(self._streams.values())

    def remove(self, stream_ids: Iterable[int]) -> list[int]:
        """Takes them out; returns those that were still open."""
        return [stream_id for stream_id in stream_ids if self._streams.pop(stream_id, None) is not None]
