"""Turns frontends' frames into streams and score jobs. The only file that receives on the ZeroMQ link.

The frontend has validated for the client's sake; here every record is checked again for the engine's: a wrong one is
refused with one Failed and harms nobody else.
"""

import logging
import time
from collections.abc import Iterator, Sequence

import numpy as np

from ipc.codec import Decoder
from ipc.errors import ErrorCode, ProtocolError, RequestError
from ipc.messages import SubmitGenerate, SubmitScore, ToScheduler
from ipc.model_card import ModelCard, Task
from ipc.zmq_link import RouterLink
from scheduler.stream import Int32Array, ScoreJob, Stream, StreamKey

MAX_FRAMES = 1024  # taken in one loop, so that a flood does not starve the workers

log = logging.getLogger("zerolane.scheduler.from_frontend")


def receive(link: RouterLink, decoder: Decoder[ToScheduler]) -> Iterator[tuple[bytes, ToScheduler]]:
    """What has arrived, as (frontend identity, record). A frame that cannot be decoded is logged and answered by
    nobody: it names no stream."""
    for identity, frame in link.receive_all(MAX_FRAMES):
        try:
            yield identity, decoder.decode(frame)
        except ProtocolError as error:
            log.error("undecodable frame", extra={"fields": {"frontend": repr(identity), "error": str(error)}})


def stream_from(identity: bytes, record: SubmitGenerate, cards: Sequence[ModelCard]) -> Stream:
    """The waiting stream a submission asks for. Raises RequestError, also when nothing is left of it to generate."""
    card = _card(record.model, cards, "generate")
    tokens = _int32(record.prompt, "prompt")
    if not len(tokens) or int(tokens.min()) < 0 or int(tokens.max()) >= card.vocab_size:
        raise RequestError(
            ErrorCode.INVALID_REQUEST, "the prompt is empty or has token ids outside the vocabulary", "prompt"
        )
    if len(tokens) >= card.max_model_len:
        raise RequestError(
            ErrorCode.CONTEXT_LENGTH_EXCEEDED,
            f"This model's maximum context length is {card.max_model_len} tokens, your prompt has {len(tokens)}.",
        )
    num_prompt = len(tokens) - record.num_output
    max_total = min(num_prompt + record.max_tokens, card.max_model_len)
    if not (record.num_output >= 0 and num_prompt > 0 and len(tokens) < max_total):
        message = f"{record.num_output} output tokens do not fit {len(tokens)} tokens, of at most {max_total}"
        raise RequestError(ErrorCode.INVALID_REQUEST, message)
    return Stream(
        key=StreamKey(identity, record.stream_id),
        request_id=record.request_id,
        model=record.model,
        tokens=tokens,
        num_prompt_tokens=num_prompt,
        max_total_tokens=max_total,
        sampling=record.sampling,
        stop_token_ids=frozenset(_int32(record.stop_token_ids, "stop_token_ids").tolist()),
        ignore_eos=record.ignore_eos,
        cache_salt=record.cache_salt,
        priority=record.priority,
        arrived=time.monotonic(),
        num_once_computed=len(tokens) - 1 if record.num_output else 0,
        rules=record.rules,
        num_logprobs=record.num_logprobs,
        num_prompt_logprobs=record.num_prompt_logprobs,
        tenant=record.tenant,
    )


def score_job_from(identity: bytes, record: SubmitScore, cards: Sequence[ModelCard]) -> ScoreJob:
    """The job a score submission asks for. Raises RequestError."""
    card = _card(record.model, cards, "score", "embed")
    lengths = _int32(record.lengths, "lengths").astype(np.int64)
    tokens = _int32(record.token_ids, "token_ids")
    type_ids = _int32(record.token_type_ids, "token_type_ids") if record.token_type_ids else np.zeros_like(tokens)
    if not len(lengths) or lengths.min() < 1 or lengths.sum() != len(tokens) or len(type_ids) != len(tokens):
        raise RequestError(ErrorCode.INVALID_REQUEST, "the pairs' lengths do not add up to their tokens")
    if lengths.max() > card.max_model_len:
        raise RequestError(
            ErrorCode.CONTEXT_LENGTH_EXCEEDED,
            f"This model's maximum context length is {card.max_model_len} tokens, a pair has {lengths.max()}.",
        )
    if tokens.min() < 0 or tokens.max() >= card.vocab_size:
        raise RequestError(ErrorCode.INVALID_REQUEST, "token ids outside the vocabulary")
    return ScoreJob(
        key=StreamKey(identity, record.stream_id),
        request_id=record.request_id,
        model=record.model,
        token_ids=tokens,
        token_type_ids=type_ids,
        starts=np.concatenate([np.zeros(1, np.int64), lengths.cumsum()]),
        priority=record.priority,
        arrived=time.monotonic(),
        to_plan=list(range(len(lengths) - 1, -1, -1)),
        tenant=record.tenant,
    )


def _card(model: int, cards: Sequence[ModelCard], *tasks: Task) -> ModelCard:
    if not 0 <= model < len(cards) or cards[model].task not in tasks:
        raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"no model {model} for task {' or '.join(tasks)}", "model")
    return cards[model]


def _int32(column: bytes, name: str) -> Int32Array:
    if len(column) % 4:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{name} is not a column of int32", name)
    return np.frombuffer(column, np.int32)
