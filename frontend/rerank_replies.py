"""The answers of a rerank request, in each dialect. Pure functions."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from frontend.label_activation import activated
from frontend.schema_rerank import Dialect, RerankRequest
from ipc.model_card import LabelActivation

DOCUMENTS_PER_SEARCH_UNIT = 100  # Cohere's unit of account


class Ranked(NamedTuple):
    """One document's place in the answer. `place`: its index in the request."""

    place: int
    score: float


def ranking(
    indexes: npt.NDArray[np.intp], raw: npt.NDArray[np.float64], activation: LabelActivation, top_n: int
) -> list[Ranked]:
    """The best first; `raw` [documents, 1] are the raw scores of the documents `indexes`. `top_n` 0: all.

    Raw scores decide, so that an activation that calls two of them 1 does not make them equal; equal ones stay in the
    order of the documents.
    """
    order = np.argsort(-raw[:, 0], kind="stable")
    order = order[:top_n] if top_n else order
    shown = activated(raw[order], activation)[:, 0].tolist()
    return [Ranked(place, score) for place, score in zip(indexes[order].tolist(), shown, strict=True)]


def rerank_reply(
    ranked: Sequence[Ranked],
    documents: Sequence[str],
    fields: RerankRequest,
    dialect: Dialect,
    model: str,
    num_tokens: int,
    is_complete: bool,
) -> dict[str, Any]:
    """Jina's, vLLM's and Cohere's: one object that has the fields of all, so that each client finds its own."""
    with_documents = fields.return_documents
    if with_documents is None:
        with_documents = dialect is Dialect.JINA
    body: dict[str, Any] = {
        "id": f"rerank-{uuid4().hex}",
        "object": "list",
        "model": model,
        "results": [_result(one, documents[one.place] if with_documents else None) for one in ranked],
        "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens},
        "meta": {
            "api_version": {"version": "2" if dialect is Dialect.COHERE_V2 else "1"},
            "billed_units": {"search_units": -(-len(documents) // DOCUMENTS_PER_SEARCH_UNIT)},
        },
    }
    return body if is_complete else body | {"partial": True}


def _result(ranked: Ranked, document: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {"index": ranked.place, "relevance_score": ranked.score}
    return result if document is None else result | {"document": {"text": document}}


def tei_reply(ranked: Sequence[Ranked], texts: Sequence[str], with_text: bool) -> list[dict[str, Any]]:
    """text-embeddings-inference's: a bare list."""
    if not with_text:
        return [{"index": one.place, "score": one.score} for one in ranked]
    return [{"index": one.place, "text": texts[one.place], "score": one.score} for one in ranked]
