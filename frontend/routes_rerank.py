"""POST /rerank, /v1/rerank and /v2/rerank: documents in the order of their relevance to a query."""

from typing import Any

import numpy as np
import orjson
from msgspec import structs
from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.deadline import deadline_of
from frontend.http_reply import JSON, json_reply
from frontend.pair_request import pair_work, pick_scorer, read_fields, scored_in_time
from frontend.rerank_replies import ranking, rerank_reply, tei_reply
from frontend.schema_rerank import Dialect, RerankRequest, dialect_of, rerank_limits
from frontend.schema_score import plain_text, plain_texts
from frontend.serving import Serving
from ipc.errors import ErrorCode, RequestError

ENDPOINT = "/v1/rerank"


async def rerank(serving: Serving, request: Request) -> HTTPResponse:
    """Scores each document with the query and puts the best first."""
    fields = await read_fields(serving, request, RerankRequest, unsupported_fields.RERANK)
    dialect = dialect_of(request.path.rstrip("/"), fields)
    param, documents = _documents(fields)
    model = pick_scorer(serving, fields.model, ENDPOINT)
    if model.card.task == "score" and model.card.num_labels != 1:
        message = f"The model '{model.card.name}' has {model.card.num_labels} labels; only models with one can rerank."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "model")
    if fields.raw_scores is not None:
        fields = structs.replace(fields, use_activation=not fields.raw_scores)
    query = plain_text(fields.query, "query")
    pairs = [(query, document) for document in documents]
    work = await pair_work(serving, request, fields, model, pairs, rerank_limits(fields, dialect), ("query", param))
    with work.submit() as running:
        is_complete = await scored_in_time(request, running)
        come = np.flatnonzero(running.has_come())
        ranked = ranking(come, running.scores(come), work.activation, fields.top_n or 0)
    if dialect is Dialect.TEI:
        if not is_complete:  # a bare list has no place to say that it is not the whole answer
            raise deadline_of(request).error()
        return _list_reply(tei_reply(ranked, documents, bool(fields.return_text)))
    num_tokens = work.sequences.num_tokens
    return json_reply(rerank_reply(ranked, documents, fields, dialect, model.card.name, num_tokens, is_complete))


def _documents(fields: RerankRequest) -> tuple[str, list[str]]:
    """The field's name and its texts. Raises RequestError."""
    if fields.texts is not None:
        return "texts", fields.texts
    return "documents", plain_texts(fields.documents or [], "documents")


def _list_reply(body: list[dict[str, Any]]) -> HTTPResponse:
    return HTTPResponse(orjson.dumps(body), 200, None, JSON)
