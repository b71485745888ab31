"""POST /v1/score and /score: a cross-encoder's score for each pair of texts, from 0 to 1."""

import time
from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

import numpy as np
from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.http_reply import json_reply
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.schema_score import ScoreRequest
from frontend.score_pairs import PackedPairs, make_pairs, pack_pairs
from frontend.score_stream import ScoreStream
from frontend.serving import Serving
from frontend.stream_group import StreamGroup
from frontend.text_model import TextModel
from frontend.tokenize import off_loop
from ipc.errors import ErrorCode, RequestError
from ipc.messages import SubmitScore

ENDPOINT = "/v1/score"


async def score(serving: Serving, request: Request) -> HTTPResponse:
    """Scores all pairs of the request."""
    check_content_type(request.headers.get("content-type"))
    models = serving.models
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, ScoreRequest, unsupported_fields.SCORE)
    model = models.pick(fields.model, "score", ENDPOINT)
    if model.card.num_labels != 1:
        message = f"The model '{model.card.name}' has {model.card.num_labels} labels; only models with one can score."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "model")
    texts = make_pairs(fields.text_1, fields.text_2)
    truncate = fields.truncate_prompt_tokens
    pairs = await off_loop(len(body), lambda: pack_pairs(texts, model, truncate))
    await serving.to_scheduler.wait_for_scheduler()
    logits = await _scored(serving, model, pairs, fields.priority or 0, request_id(request))
    return json_reply(_reply(logits, model.card.name, serving.config.score_format == "float"))


async def _scored(
    serving: Serving, model: TextModel, pairs: PackedPairs, priority: int, http_request_id: str
) -> list[float]:
    """The raw scores, in order. Leaving early gives the work up."""
    group: StreamGroup[ScoreStream] = StreamGroup(tells_text=False)
    submit = SubmitScore(
        stream_id=0,
        request_id=http_request_id,
        model=model.card.index,
        lengths=pairs.lengths,
        token_ids=pairs.token_ids,
        token_type_ids=pairs.type_ids,
        priority=priority,
    )
    stream = ScoreStream(submit, group)
    try:
        serving.submissions.open(stream)
        while not stream.is_finished:
            await group.changed()
    finally:
        serving.submissions.close([stream])
    if stream.error is not None:
        raise stream.error
    if not np.isfinite(stream.logits).all():
        raise RequestError(ErrorCode.STEP_FAILED, "The model's score of a pair is not a finite number.")
    return cast("list[float]", stream.logits.tolist())


def _reply(logits: Sequence[float], model: str, as_float: bool) -> dict[str, Any]:
    """The specification's shape: `score` is a list with one number; `as_float`: today's vLLM, a plain number."""
    scores = [sigmoid(logit) for logit in logits]
    return {
        "id": f"score-{uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [
            {"index": index, "object": "score", "score": one if as_float else [one]} for index, one in enumerate(scores)
        ],
        "usage": {},
    }


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)) in double precision: single precision would call all above 17 the same."""
    if logit >= 0:
        return float(1.0 / (1.0 + np.exp(-logit)))
    weight = float(np.exp(logit))
    return weight / (1.0 + weight)
