"""POST /pooling and /v1/pooling: what a model makes of texts, whatever it is for; vLLM's shape."""

import time
from uuid import uuid4

import numpy as np
from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.label_activation import activated
from frontend.pooled_outputs import Rows
from frontend.pooled_request import open_pooled
from frontend.schema_embeddings import PoolingRequest
from frontend.serving import Serving
from frontend.text_model import TextModel
from frontend.vector_encoding import encoded_rows, numbers_reply
from frontend.vectors import check_dimensions, finish
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import Task

ENDPOINT = "/pooling"
_TASKS: dict[str, Task] = {"embed": "embed", "classify": "score", "score": "score"}
_NOT_BUILT = ("token_embed", "token_classify", "plugin")


async def pooling(serving: Serving, request: Request) -> HTTPResponse:
    """A row of numbers for each input: a vector, or probabilities of labels."""
    pooled = await open_pooled(serving, request, PoolingRequest, unsupported_fields.POOLING)
    fields = pooled.fields
    model = _model(serving, fields)
    check_dimensions(fields.dimensions, model.card, "dimensions")
    texts = await pooled.texts(model, fields.prompt_name, fields.input_type)
    rows = _finished(await pooled.outputs(model, texts), model, fields)
    written = await encoded_rows(rows, fields.encoding_format)
    return numbers_reply(
        {
            "id": f"pool-{uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": model.card.name,
            "data": [{"index": index, "object": "pooling", "data": field} for index, field in enumerate(written)],
            "usage": {"prompt_tokens": texts.num_tokens, "total_tokens": texts.num_tokens},
        }
    )


def _model(serving: Serving, fields: PoolingRequest) -> TextModel:
    """The model that is named, or the first that embeds, or the first that has labels. Raises RequestError."""
    if fields.task is not None and fields.task not in _TASKS:
        known = fields.task in _NOT_BUILT
        message = f"The task '{fields.task}' is not supported yet" if known else "There is no such task"
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{message}; 'embed' and 'classify' are.", "task")
    models = serving.models
    wanted = None if fields.task is None else _TASKS[fields.task]
    if fields.model and wanted is None:
        own: Task = models.named(fields.model).card.task
        wanted = own if own != "generate" else "embed"
    if wanted is None:
        wanted = "embed" if any(model.card.task == "embed" for model in models.models) else "score"
    return models.pick(fields.model, wanted, ENDPOINT)


def _finished(rows: Rows, model: TextModel, fields: PoolingRequest) -> Rows:
    embedding = model.card.embedding
    if embedding is None:
        return activated(rows, model.card.label_activation).astype(np.float32) if fields.is_activated else rows
    normalize = embedding.normalize if fields.is_normalized is None else fields.is_normalized
    return finish(rows, fields.dimensions, normalize)
