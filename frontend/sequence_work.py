"""One request's sequences on their way through a score or embed model: submitted together, coming back in any order.

What is lost on the way is asked for again (`submissions.py`).
"""

from types import TracebackType
from typing import NamedTuple, Protocol, Self

from frontend.score_stream import ScoreStream
from frontend.serving import Serving
from frontend.stream_group import StreamGroup
from ipc.errors import RequestError
from ipc.messages import SubmitScore
from ipc.model_card import ModelCard


class Order(NamedTuple):
    """Who asks, and how urgent it is."""

    request_id: str
    tenant: str = ""
    priority: int = 0


class Sequences(Protocol):
    """Tokenized sequences as int32 columns: the length of each, and all token ids one after the other."""

    @property
    def lengths(self) -> bytes: ...

    @property
    def token_ids(self) -> bytes: ...


class SequenceWork:
    """A context manager: entering submits, leaving gives up what is not done. `tells_each`: `changed` returns whenever
    something has come, not only at the end."""

    def __init__(
        self,
        serving: Serving,
        card: ModelCard,
        sequences: Sequences,
        order: Order,
        type_ids: bytes = b"",
        tells_each: bool = False,
    ) -> None:
        """`type_ids`: segment of each token, for models that have segments."""
        self._serving = serving
        self._group: StreamGroup[ScoreStream] = StreamGroup(tells_text=tells_each)
        submit = SubmitScore(
            stream_id=0,
            request_id=order.request_id,
            model=card.index,
            lengths=sequences.lengths,
            token_ids=sequences.token_ids,
            token_type_ids=type_ids,
            priority=order.priority,
            tenant=order.tenant,
        )
        self.stream = ScoreStream(submit, self._group, card.num_labels)

    def __enter__(self) -> Self:
        """Raises RequestError QUEUE_FULL."""
        try:
            self._serving.submissions.open(self.stream)
        except RequestError:
            self._serving.submissions.close([self.stream])
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.submissions.close([self.stream])

    @property
    def is_finished(self) -> bool:
        return self.stream.is_finished

    async def changed(self) -> None:
        """Waits for news. Raises the request's error."""
        await self._group.changed()
        if self.stream.error is not None:
            raise self.stream.error

    async def finished(self) -> None:
        """Waits for all sequences. Raises the request's error."""
        while not self.is_finished:
            await self.changed()
        if self.stream.error is not None:
            raise self.stream.error
