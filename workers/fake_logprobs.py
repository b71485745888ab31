"""Log-probabilities of the fake model: made from the stream's hash, so that a wrong one is seen at once. No torch.

The likeliest token after a history is the one the fake model draws greedily, then come the ids above it, and at the
vocabulary's end those from 0 on; each is 1.0 below the one before. All are exact in float32.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ipc.fake_card import FAKE_VOCAB_SIZE
from ipc.step_layout import RowFlag, StepColumns


class FakeLogprobs(NamedTuple):
    """As `workers.logprobs.Logprobs`, of one token."""

    logprob: float
    rank: int
    top_ids: list[int]
    top_logprobs: list[float]


def fake_logprobs(history: int, likeliest: int, token: int, num_top: int) -> FakeLogprobs:
    """Of `token` after a stream with hash `history`, whose greedy next token is `likeliest`."""
    highest = -0.5 - (history >> 16) % 256 / 1024
    rank = 1 + (token - likeliest) % FAKE_VOCAB_SIZE
    places = range(min(num_top, FAKE_VOCAB_SIZE))
    top_ids = [(likeliest + place) % FAKE_VOCAB_SIZE for place in places]
    return FakeLogprobs(highest - (rank - 1), rank, top_ids, [highest - place for place in places])


def write_drawn(columns: StepColumns, row: int, history: int, likeliest: int) -> None:
    """Write the result columns of a row that has drawn its token, if it wants any."""
    if columns.num_logprobs[row] < 0:
        return
    told = fake_logprobs(history, likeliest, int(columns.sampled[row]), columns.header.shape.num_top)
    columns.logprob[row], columns.rank[row] = told.logprob, told.rank
    columns.top_ids[row], columns.top_logprobs[row] = -1, -np.inf
    columns.top_ids[row, : len(told.top_ids)] = told.top_ids
    columns.top_logprobs[row, : len(told.top_ids)] = told.top_logprobs


def write_prompt(columns: StepColumns, row: int, first: int, after: Iterable[tuple[int, int]]) -> None:
    """Write those of a PROMPT_LOGPROBS row whose tokens begin at `first`; `after` each: (hash, greedy next token)."""
    if not columns.flags[row] & RowFlag.PROMPT_LOGPROBS:
        return
    end = first + int(columns.num_new[row])
    following = [*columns.token_ids[first + 1 : end].tolist(), int(columns.next_token[row])]
    for token, (follower, (history, likeliest)) in enumerate(zip(following, after, strict=True), first):
        if follower < 0:
            continue
        told = fake_logprobs(history, likeliest, follower, columns.header.shape.num_top)
        columns.prompt_logprob[token], columns.prompt_rank[token] = told.logprob, told.rank
        columns.prompt_top_ids[token], columns.prompt_top_logprobs[token] = -1, -np.inf
        columns.prompt_top_ids[token, : len(told.top_ids)] = told.top_ids
        columns.prompt_top_logprobs[token, : len(told.top_ids)] = told.top_logprobs
