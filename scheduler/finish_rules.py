"""When a stream ends: end-of-sequence token, stop token id, or length."""

import numpy as np
import numpy.typing as npt

from ipc.messages import FinishReason
from scheduler.ledger import Ledger, Slots

# looking up a member of an enum takes as long as comparing a small column
_STOP, _LENGTH = int(FinishReason.STOP), int(FinishReason.LENGTH)


def finish_reasons(ledger: Ledger, slots: Slots, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """FinishReason of each slot after `tokens` (one each) were appended; the stopping token counts as output."""
    reasons = np.zeros(len(slots), np.uint8)
    reasons[ledger.num_tokens[slots] >= ledger.max_total[slots]] = _LENGTH
    for eos in ledger.card.eos_token_ids:  # one or two; np.isin costs more than the rest of this function
        is_eos = tokens == eos
        if np.count_nonzero(is_eos):
            reasons[is_eos & ~ledger.ignore_eos[slots]] = _STOP
    has_stop_ids = ledger.has_stop_ids[slots]
    for row in np.flatnonzero(has_stop_ids) if np.count_nonzero(has_stop_ids) else ():
        stream = ledger.streams[slots[row]]
        if stream is not None and int(tokens[row]) in stream.stop_token_ids:
            reasons[row] = _STOP
    return reasons
