"""A stream: one sequence of output tokens somebody waits for, from admission to its one final message.

The record here holds what never changes, and what it needs while it is not running. The counters of a *running*
stream are columns of the ledger (`ledger.py`), so that a step over hundreds of them costs a few vector operations.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.messages import SamplingParams

Int32Array = npt.NDArray[np.int32]


class PrefixKey(NamedTuple):
    """Key of a full KV page in the prefix cache."""

    parent: int | str  # number of the page before it in the trie, or the salt of a root
    tokens: bytes  # int32 token ids of the page


class StreamKey(NamedTuple):
    """How the scheduler knows a stream: the frontend's ZeroMQ identity and that frontend's own number for it."""

    frontend: bytes
    stream_id: int


class SlotState(IntEnum):
    """Life of a running slot. Only RUNNING slots are planned; the others leave as soon as nothing of theirs is in
    flight.
    """

    FREE = 0  # no stream
    RUNNING = 1  # planned whenever it has tokens to compute
    MOVING = 2  # goes to another worker of the pool
    PREEMPTED = 3  # gives its pages back and waits again
    CLOSED = 4  # has had its final message


@dataclass(eq=False, slots=True)
class Stream:
    """One stream. `tokens` is the prompt, and after a preemption the prompt and all committed output."""

    key: StreamKey
    request_id: str
    model: int
    tokens: Int32Array
    num_prompt_tokens: int
    max_total_tokens: int  # prompt and output
    sampling: SamplingParams
    stop_token_ids: frozenset[int]
    ignore_eos: bool
    cache_salt: str
    priority: int
    arrived: float  # time.monotonic()
    slot: int | None = None  # running slot in the ledger; None: waiting
    num_cached_tokens: int = 0  # prompt tokens taken from the prefix cache at first admission
    admitted: float | None = None  # time.monotonic() of the first admission
    waits_for: tuple[int, PrefixKey] | None = None  # pool and key of its first unknown page, when last looked up
    num_once_computed: int = 0  # positions whose KV was computed before, in a slot or under a scheduler that died
    num_deaths: int = 0  # workers that died computing it, while it waits again
    order: int = 0  # of its first admission, from 1; a preempted stream keeps its place
    is_closed: bool = False  # it has had its final message
    rules: bytes = b""  # encoded TokenRules
    num_logprobs: int = -1  # likeliest tokens wanted with each drawn one; -1: no log-probabilities
    num_prompt_logprobs: int = -1  # as long as they are not told yet
    tenant: str = ""
    due: int = 0  # on the model's clock of prompt tokens (`prompt_clock.py`); changes only while it does not wait
    number: int = 0  # in the order of arrival, from 1

    @property
    def has_output(self) -> bool:
        """It ran before: here, or under a scheduler that died."""
        return len(self.tokens) > self.num_prompt_tokens

    @property
    def weight(self) -> int:
        """What it counts for in a bounded queue, in tokens: an int32 of its rules as much as a token."""
        return len(self.tokens) + len(self.rules) // 4


@dataclass(eq=False, slots=True)
class ScoreJob:
    """One score request: packed pairs, each answered on its own."""

    key: StreamKey
    request_id: str
    model: int
    token_ids: Int32Array
    token_type_ids: Int32Array  # same length
    starts: npt.NDArray[np.int64]  # [num_pairs + 1] offsets of the pairs in token_ids
    priority: int
    arrived: float
    to_plan: list[int] = field(default_factory=list)  # pair indexes not in flight and not done, last one goes first
    num_done: int = 0
    deaths: dict[int, int] = field(default_factory=dict)  # pair -> workers that died computing it
    is_closed: bool = False
    tenant: str = ""

    @property
    def num_pairs(self) -> int:
        return len(self.starts) - 1

    def length(self, pair: int) -> int:
        """Tokens of one pair."""
        return int(self.starts[pair + 1] - self.starts[pair])

    @property
    def num_waiting_tokens(self) -> int:
        return sum(self.length(pair) for pair in self.to_plan)
