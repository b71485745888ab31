"""The streams this frontend has open with the scheduler, and the requests that read them.

`from_scheduler.py` pushes tokens and scores in as they arrive; a request's handler waits for news and takes out what
has gathered since, so a slow client gets fewer, larger deltas and never an unbounded queue. All of it lives on one
event loop.

    scheduler --push--> TokenStream --news--> StreamGroup --changed()--> handler --> SSE or JSON
"""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from frontend.detokenize import Detokenizer
from frontend.stop_strings import StopStrings
from ipc.errors import ErrorCode, RequestError
from ipc.messages import FinishReason

FINISH_NAMES = {FinishReason.STOP: "stop", FinishReason.LENGTH: "length", FinishReason.ABORT: "abort"}


class StreamGroup:
    """The streams of one HTTP request. One handler waits here; streams report what changed.

    `tells_text`: each new text is news (a streamed reply); otherwise only the end of a stream is.
    """

    def __init__(self, tells_text: bool) -> None:
        self.tells_text = tells_text
        self._changed: dict[int, TokenStream | ScoreStream] = {}  # in the order they changed
        self._waiter: asyncio.Future[None] | None = None

    async def changed(self) -> "list[TokenStream | ScoreStream]":
        """The streams with news since the last call; waits until there is one. They may all be finished."""
        if not self._changed:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

    def tell(self, stream: "TokenStream | ScoreStream") -> None:
        self._changed[stream.stream_id] = stream
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class TokenStream:
    """One choice on its way: tokens come in, text goes out."""

    def __init__(
        self,
        stream_id: int,
        group: StreamGroup,
        choice: int,
        detokenizer: Detokenizer,
        stops: Sequence[str],
        stop_token_ids: Sequence[int],
    ) -> None:
        self.stream_id = stream_id
        self.choice = choice  # index in the reply
        self.num_tokens = 0  # output tokens so far: also the position the next one must have
        self.num_cached = 0  # prompt tokens found in the prefix cache
        self.finish_reason: str | None = None
        self.stop_reason: str | int | None = None
        self.error: RequestError | None = None
        self._group = group
        self._detokenizer = detokenizer
        self._stops = StopStrings(stops)
        self._stop_token_ids = stop_token_ids
        self._text: list[str] = []

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    def take_text(self) -> str:
        """The text that gathered since the last call."""
        text = "".join(self._text)
        self._text.clear()
        return text

    def push(self, token_id: int, finish: int, num_cached: int) -> None:
        """The next token. `finish`: a FinishReason; a stopping token is counted but shows no text."""
        self.num_cached = num_cached
        if finish != FinishReason.ABORT:
            self.num_tokens += 1
        if finish in (FinishReason.NONE, FinishReason.LENGTH):
            self._add(self._stops.push(self._detokenizer.push(token_id)))
        if self._stops.matched is not None:
            self.finish_reason, self.stop_reason = "stop", self._stops.matched
        elif finish != FinishReason.NONE:
            self._add(self._stops.finish())
            self.finish_reason = FINISH_NAMES[FinishReason(finish)]
            if finish == FinishReason.STOP and token_id in self._stop_token_ids:
                self.stop_reason = token_id
        elif not self._text or not self._group.tells_text:
            return  # all of it is held back, or nobody wants parts
        self._group.tell(self)

    def fail(self, error: RequestError) -> None:
        self.error = error
        self._group.tell(self)

    def _add(self, text: str) -> None:
        if text:
            self._text.append(text)


class ScoreStream:
    """All pairs of one score request on their way."""

    def __init__(self, stream_id: int, group: StreamGroup, num_pairs: int) -> None:
        self.stream_id = stream_id
        self.logits: npt.NDArray[np.float32] = np.full(num_pairs, np.nan, np.float32)
        self.error: RequestError | None = None
        self._group = group
        self._is_missing = np.ones(num_pairs, np.bool_)
        self._num_missing = num_pairs

    @property
    def is_finished(self) -> bool:
        return self._num_missing == 0 or self.error is not None

    def push(self, pair_index: int, logit: float) -> None:
        """One pair's raw score. A pair that comes twice counts once."""
        if not 0 <= pair_index < len(self.logits) or not self._is_missing[pair_index]:
            return
        self.logits[pair_index] = logit
        self._is_missing[pair_index] = False
        self._num_missing -= 1
        if self._num_missing == 0:
            self._group.tell(self)

    def fail(self, error: RequestError) -> None:
        self.error = error
        self._group.tell(self)


Stream = TokenStream | ScoreStream


class OpenStreams:
    """The table of open streams by id. A stream is taken out when it finishes, fails or is given up."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._next_id = 1

    def __len__(self) -> int:
        return len(self._streams)

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def add(self, stream: Stream) -> None:
        self._streams[stream.stream_id] = stream

    def get(self, stream_id: int) -> Stream | None:
        return self._streams.get(stream_id)

    def remove(self, stream_ids: Iterable[int]) -> list[int]:
        """Takes them out; returns those that were still open."""
        return [stream_id for stream_id in stream_ids if self._streams.pop(stream_id, None) is not None]

    def fail_all(self, code: ErrorCode, message: str) -> None:
        """Ends every open stream with one error each."""
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            stream.fail(RequestError(code, message))
