"""The vocabulary between frontends and the scheduler: small typed records in two tagged unions, one a direction.

On the wire a record is one byte of protocol version and a msgpack array `[kind, field, ...]` (msgspec, `array_like`).
New fields go last and have defaults. Columns of numbers travel as little-endian bytes, never as lists: 4,096 token ids
cost 1.4 us instead of 57. Sizes are bounded on decode. `codec.py` makes the encoder and the two decoders once.

A *stream* is one sequence of output: a request with n=3 is three streams. Stream ids are given by the frontend and are
unique within one life of it; the scheduler knows a stream as (frontend identity, stream id).
"""

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from ipc.errors import ErrorCode

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 256 << 20  # a frame above this is refused by ZeroMQ itself

MAX_LOGPROBS = 100  # likeliest tokens of one position; the frontend's own limit is lower

ShortText = Annotated[str, Meta(max_length=512)]
ErrorText = Annotated[str, Meta(max_length=4096)]
TokenColumn = Annotated[bytes, Meta(max_length=64 << 20)]  # int32 token ids
StreamId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
RulesBlob = Annotated[bytes, Meta(max_length=4 << 20)]
NumLogprobs = Annotated[int, Meta(ge=-1, le=MAX_LOGPROBS)]


class FinishReason(IntEnum):
    """Why a stream ended; NONE: it goes on. The numbers travel in a uint8 column."""

    NONE = 0
    STOP = 1  # end-of-sequence token or a stop token id
    LENGTH = 2  # max_tokens, or the model's context is full
    ABORT = 3


class SamplingParams(Struct, frozen=True, array_like=True):
    """How output tokens are drawn. temperature 0 is greedy; top_k 0 and top_p 1 and min_p 0 switch the filter off."""

    temperature: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    top_k: Annotated[int, Meta(ge=0, lt=1 << 31)] = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Meta(ge=0, le=1)] = 0.0
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # always set: draws are keyed by (seed, position)


# --- frontend to scheduler -------------------------------------------------------------------------------------------


class Hello(Struct, frozen=True, array_like=True, tag=1):
    """First message of a frontend's life on this link; the scheduler answers Welcome."""

    frontend_id: int
    epoch: int


class SubmitGenerate(Struct, frozen=True, array_like=True, tag=2):
    """Open a stream. The scheduler answers with token batches and one final finish, or with one Failed."""

    stream_id: StreamId
    request_id: ShortText  # for logs only
    model: int  # index of the model card
    prompt: TokenColumn
    max_tokens: Annotated[int, Meta(ge=1)]  # output tokens; prompt + max_tokens <= max_model_len was checked
    sampling: SamplingParams
    stop_token_ids: Annotated[bytes, Meta(max_length=4096)] = b""  # int32
    ignore_eos: bool = False
    cache_salt: ShortText = ""  # prefix pages are shared only between requests of equal salt
    priority: int = 0  # lower goes first
    num_output: int = 0  # so many last tokens of `prompt` are output already: the stream goes on after them
    resumes: bool = False  # it was admitted by a scheduler that died: the queue's bound does not hold for it
    rules: RulesBlob = b""  # an encoded TokenRules (`token_rules.py`) for the workers; empty: none
    num_logprobs: NumLogprobs = -1  # -1: none; k: of each drawn token and of the k likeliest ones
    num_prompt_logprobs: NumLogprobs = -1  # likewise of the prompt's tokens but the first; answered by PromptLogprobs
    tenant: ShortText = ""  # whose fair share pays for it; empty is a tenant, too


class SubmitScore(Struct, frozen=True, array_like=True, tag=3):
    """Score or embed packed sequences (pairs of texts are already joined by the tokenizer). Answered by ScoreBatch
    records, in any order.
    """

    stream_id: StreamId
    request_id: ShortText
    model: int
    lengths: Annotated[bytes, Meta(max_length=4 << 20)]  # int32[num_pairs], tokens of each
    token_ids: TokenColumn  # int32, all pairs one after the other
    token_type_ids: TokenColumn = b""  # int32 of the same length, or empty: all 0
    priority: int = 0
    resumes: bool = False  # as in SubmitGenerate
    tenant: ShortText = ""  # as in SubmitGenerate


class Abort(Struct, frozen=True, array_like=True, tag=4):
    """The frontend no longer wants these streams (client left, stop string found). Not answered; unknown ids are
    fine.
    """

    stream_ids: Annotated[bytes, Meta(max_length=1 << 20)]  # uint64


ToScheduler = Hello | SubmitGenerate | SubmitScore | Abort

# --- scheduler to frontend -------------------------------------------------------------------------------------------


class Welcome(Struct, frozen=True, array_like=True, tag=1):
    """The scheduler knows this frontend now. A changed epoch means that all streams submitted before are lost."""

    scheduler_epoch: int


class TokenBatch(Struct, frozen=True, array_like=True, tag=2):
    """All tokens of one step for one frontend: equal-length columns, one row a stream.

    A row with finish STOP carries the stopping token itself; a row with finish ABORT has no token (token -1).
    """

    stream_ids: bytes  # uint64
    positions: bytes  # int32, index of the token within the stream's output, from 0
    token_ids: bytes  # int32
    finish: bytes  # uint8, FinishReason
    num_cached: bytes  # int32, prompt tokens that came from the prefix cache
    # Log-probabilities, where a row asked for them; all empty when none did. A row takes what it asked for.
    num_top: int = 0  # k, the most that any row asked for
    logprobs: bytes = b""  # float32[n], of the drawn token: log-softmax of the model's own logits, nothing applied
    ranks: bytes = b""  # int32[n], 1 for the likeliest token
    top_ids: bytes = b""  # int32[n, k], likeliest first
    top_logprobs: bytes = b""  # float32[n, k]


class ScoreBatch(Struct, frozen=True, array_like=True, tag=3):
    """Outputs of some sequences of one or several score streams. A stream is done when all its sequences have come.
    One record holds rows of one model only."""

    stream_ids: bytes  # uint64[n]
    pair_indexes: bytes  # int32[n]
    logits: bytes  # float32[n, card.num_labels], raw: labels' logits, or an embedding that is not normalised yet


class Failed(Struct, frozen=True, array_like=True, tag=4):
    """The one final message of a stream that was refused or could not be finished."""

    stream_id: StreamId
    code: ErrorCode
    message: ErrorText  # may be shown to the client
    retry_after_s: float = 0.0


class PromptLogprobs(Struct, frozen=True, array_like=True, tag=5):
    """Log-probabilities of some tokens of one stream's prompt, before its first token. They come in order; after a
    scheduler's death from the beginning again."""

    stream_id: StreamId
    position: int  # of the first token described, at least 1: the prompt's first token has no probability
    num_top: int  # k
    logprobs: bytes  # float32[m]
    ranks: bytes  # int32[m]
    top_ids: bytes  # int32[m, k]
    top_logprobs: bytes  # float32[m, k]


FromScheduler = Welcome | TokenBatch | ScoreBatch | Failed | PromptLogprobs
