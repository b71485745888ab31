"""One request's texts on their way through an embed or classify model: what the model says of each.

Every frontend route for such models waits here; what is lost on the way is asked for again (`submissions.py`).
"""

from types import TracebackType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frontend.packed_texts import PackedTexts
from frontend.score_stream import ScoreStream
from frontend.serving import Serving
from frontend.stream_group import StreamGroup
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError
from ipc.messages import SubmitScore

Rows = npt.NDArray[np.float32]  # [texts, card.num_labels]


class Order(NamedTuple):
    """Who asks, and how urgent it is."""

    request_id: str
    tenant: str = ""
    priority: int = 0


class PooledOutputs:
    """The work of one request: a context manager, whose end gives up what is not done."""

    def __init__(self, serving: Serving, model: TextModel, texts: PackedTexts, order: Order) -> None:
        self._serving = serving
        self._group: StreamGroup[ScoreStream] = StreamGroup(tells_text=False)
        submit = SubmitScore(
            stream_id=0,
            request_id=order.request_id,
            model=model.card.index,
            lengths=texts.lengths,
            token_ids=texts.token_ids,
            priority=order.priority,
            tenant=order.tenant,
        )
        self._stream = ScoreStream(submit, self._group, model.card.num_labels)

    def __enter__(self) -> "PooledOutputs":
        """Submits. Raises RequestError QUEUE_FULL."""
        try:
            self._serving.submissions.open(self._stream)
        except RequestError:
            self._serving.submissions.close([self._stream])
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving.submissions.close([self._stream])

    async def finished(self) -> Rows:
        """All rows, in order. Raises RequestError when the request fails."""
        while not self._stream.is_finished:
            await self._group.changed()
        if self._stream.error is not None:
            raise self._stream.error
        rows = self._stream.logits
        if not np.isfinite(rows).all():
            raise RequestError(ErrorCode.STEP_FAILED, "The model's output for a text is not a finite number.")
        return rows


async def pooled_outputs(serving: Serving, model: TextModel, texts: PackedTexts, order: Order) -> Rows:
    """What the model says of each text, in order. Leaving early gives the work up. Raises RequestError."""
    await serving.to_scheduler.wait_for_scheduler()
    with PooledOutputs(serving, model, texts, order) as outputs:
        return await outputs.finished()
