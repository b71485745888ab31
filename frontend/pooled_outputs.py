"""What an embed or classify model says of each text of a request. Every frontend route for such models waits here."""

import numpy as np
import numpy.typing as npt

from frontend.packed_texts import PackedTexts
from frontend.sequence_work import Order, SequenceWork
from frontend.serving import Serving
from frontend.text_model import TextModel
from ipc.errors import ErrorCode, RequestError

Rows = npt.NDArray[np.float32]  # [texts, card.num_labels]


async def pooled_outputs(serving: Serving, model: TextModel, texts: PackedTexts, order: Order) -> Rows:
    """What the model says of each text, in order. Leaving early gives the work up. Raises RequestError."""
    await serving.to_scheduler.wait_for_scheduler()
    with SequenceWork(serving, model.card, texts, order) as work:
        await work.finished()
    rows = work.stream.logits
    if not np.isfinite(rows).all():
        raise RequestError(ErrorCode.STEP_FAILED, "The model's output for a text is not a finite number.")
    return rows
