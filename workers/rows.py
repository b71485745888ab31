"""What can be said about a plan's rows without torch: checks, and numbers every model needs.

A plan comes from our own scheduler, but a page number out of range would read or write another model's memory: a
plan that cannot be is refused as a whole before anything is computed.
"""

import numpy as np
import numpy.typing as npt

from ipc.errors import ProtocolError
from ipc.model_card import ModelCard
from ipc.step_layout import FROM_LAST_TOKEN, StepColumns


def token_rows(num_new: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """[tokens] the row each token belongs to."""
    return np.repeat(np.arange(len(num_new)), num_new)


def is_decode(columns: StepColumns) -> bool:
    """Every row has one token; of a checked step, whose rows have at least one."""
    return len(columns.token_ids) == len(columns.num_new)


def token_positions(columns: StepColumns) -> npt.NDArray[np.int64]:
    """[tokens] each token's position in its sequence."""
    if is_decode(columns):
        return columns.start.astype(np.int64)
    ends = np.cumsum(columns.num_new, dtype=np.int64)
    offset = columns.start - (ends - columns.num_new)
    positions: npt.NDArray[np.int64] = np.arange(len(columns.token_ids)) + np.repeat(offset, columns.num_new)
    return positions


def resolved_tokens(columns: StepColumns, last_token: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """[tokens] the step's tokens; `last_token` [slots] holds what each running slot drew before."""
    slots = columns.slot if is_decode(columns) else columns.slot[token_rows(columns.num_new)]
    latest = last_token[slots]
    return np.where(columns.token_ids == FROM_LAST_TOKEN, latest, columns.token_ids)


def check_rows(columns: StepColumns, vocab_size: int, max_model_len: int) -> None:
    """Raises ProtocolError unless the rows' lengths and token ids are possible for the model."""
    if len(columns.num_new) == 0 or columns.num_new.min() < 1 or columns.start.min() < 0:
        raise ProtocolError("a step needs rows, and every row at least one token")
    if int(columns.num_new.sum()) != len(columns.token_ids):
        raise ProtocolError(f"rows hold {int(columns.num_new.sum())} tokens, the step {len(columns.token_ids)}")
    if int((columns.start + columns.num_new).max()) > max_model_len:
        raise ProtocolError(f"a row is longer than the model's {max_model_len} tokens")
    if columns.token_ids.min() < FROM_LAST_TOKEN or columns.token_ids.max() >= vocab_size:
        raise ProtocolError(f"token ids must be below {vocab_size}")


def check_generate_rows(columns: StepColumns, card: ModelCard) -> None:
    """`check_rows`, and every page a row uses exists and fits the table."""
    check_rows(columns, card.vocab_size, card.max_model_len)
    pages_used = -(-(columns.start + columns.num_new) // card.block_size)
    width = columns.block_tables.shape[1]
    if int(pages_used.max()) > width:
        raise ProtocolError(f"a row needs {int(pages_used.max())} pages, its block table has {width}")
    used = columns.block_tables[np.arange(width) < pages_used[:, None]]
    if used.min() < 0 or used.max() >= card.num_pages:
        raise ProtocolError(f"a block table names a page outside the pool of {card.num_pages}")
