"""Log-probabilities of a prompt's own tokens: each token of a PROMPT_LOGPROBS row tells that of the one after it.

The logits of a whole chunk would be larger than the model's hidden states by orders of magnitude, so they are made for
a few tokens at a time; `body_once` spares the model's layers from being computed again for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ipc.step_layout import RowFlag, StepColumns
from workers.logprobs import logprobs_of
from workers.rows import token_rows

MOST_AT_ONCE = 64  # tokens whose logits exist at the same time


class ToldTokens(NamedTuple):
    """Tokens of a step that tell of the one after them."""

    tokens: npt.NDArray[np.int64]  # [m] indexes into the step's tokens, ascending
    following: npt.NDArray[np.int32]  # [m] the token after each


def told_tokens(columns: StepColumns, most: int) -> list[ToldTokens]:
    """All that tell, at most `most` in each part; a row's last token does not when nothing follows it in the prompt."""
    following = np.append(columns.token_ids[1:], np.int32(-1))
    present = np.flatnonzero(columns.num_new)
    following[np.cumsum(columns.num_new)[present] - 1] = columns.next_token[present]
    asked = (columns.flags & RowFlag.PROMPT_LOGPROBS) != 0
    tokens = np.flatnonzero(asked[token_rows(columns.num_new)] & (following >= 0))
    parts = [tokens[begin : begin + most] for begin in range(0, len(tokens), most)]
    return [ToldTokens(part, following[part]) for part in parts]


def write_prompt_logprobs(columns: StepColumns, told: ToldTokens, logits: torch.Tensor) -> None:
    """Write the result columns of the tokens `told`, which gave `logits` [m, vocab]."""
    found = logprobs_of(logits, told.following, columns.header.shape.num_top)
    columns.prompt_logprob[told.tokens] = found.logprob
    columns.prompt_rank[told.tokens] = found.rank
    columns.prompt_top_ids[told.tokens] = found.top_ids
    columns.prompt_top_logprobs[told.tokens] = found.top_logprobs


@contextmanager
def body_once(model: Any) -> Iterator[None]:
    """Inside, the layers below the model's head run at its first call only; later calls get their output again.

    Those calls must be for the same tokens: only the head's part may differ (`logits_to_keep`). A model that is not
    divided into body and head computes everything each time, which gives the same.
    """
    body: nn.Module = model.base_model
    if body is model:
        yield
        return
    forward = body.forward
    outputs: list[Any] = []

    def first_output(*args: Any, **kwargs: Any) -> Any:
        if not outputs:
            outputs.append(forward(*args, **kwargs))
        return outputs[0]

    body.__dict__["forward"] = first_output  # hides the class's, until it is taken away
    try:
        yield
    finally:
        del body.__dict__["forward"]
