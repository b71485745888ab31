"""When a stream ends: end-of-sequence token, stop token id, or length."""

import numpy as np
import numpy.typing as npt

from ipc.messages import FinishReason
from scheduler.ledger import Ledger, Slots


def finish_reasons(ledger: Ledger, slots: Slots, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """FinishReason of each slot after `tokens` (one each) were appended; the stopping token counts as output."""
    reasons = np.zeros(len(slots), np.uint8)
    reasons[ledger.num_tokens[slots] >= ledger.max_total[slots]] = FinishReason.LENGTH
    for eos in ledger.card.eos_token_ids:  # one or two; np.isin costs more than the rest of this function
        reasons[(tokens == eos) & ~ledger.ignore_eos[slots]] = FinishReason.STOP
    has_stop_ids = ledger.has_stop_ids[slots]
    for row in np.flatnonzero(has_stop_ids) if has_stop_ids.any() else ():
        stream = ledger.streams[slots[row]]
        if stream is not None and int(tokens[row]) in stream.stop_token_ids:
            reasons[row] = FinishReason.STOP
    return reasons
