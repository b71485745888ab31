"""The body of POST /rerank, /v1/rerank and /v2/rerank, in all dialects, and the rule that tells them apart.

fields                    path                       dialect
query, texts              /rerank                    text-embeddings-inference: a bare list of scores
query, documents          /v2/rerank                 Cohere v2
query, documents          /rerank, /v1/rerank        Jina, vLLM and Cohere v1: one reply that has all their fields
"""

from enum import Enum, auto
from typing import Annotated, Literal

from msgspec import Meta

from frontend.schema_score import MAX_PAIRS, PairFields, Text, Texts
from frontend.score_pairs import PairLimits
from ipc.errors import ErrorCode, RequestError

TEI_PATH = "/rerank"
COHERE_V2_PATH = "/v2/rerank"
COHERE_V2_DOC_TOKENS = 4096  # Cohere's own default
_TEI_FIELDS = ("texts", "raw_scores", "return_text", "truncate", "truncation_direction")

Direction = Literal["left", "right", "Left", "Right"]


class RerankRequest(PairFields, frozen=True, kw_only=True):
    """A query and what is to be put in order of relevance."""

    query: Text
    documents: Texts | None = None
    top_n: Annotated[int, Meta(ge=0, lt=1 << 31)] | None = None  # 0: all
    return_documents: bool | None = None
    # text-embeddings-inference:
    texts: Annotated[list[str], Meta(min_length=1, max_length=MAX_PAIRS)] | None = None
    raw_scores: bool | None = None
    return_text: bool | None = None
    truncate: bool | None = None
    truncation_direction: Direction | None = None


class Dialect(Enum):
    """Whose form of the endpoint a request uses."""

    JINA = auto()  # vLLM's and Cohere v1's, too
    COHERE_V2 = auto()
    TEI = auto()


def dialect_of(path: str, fields: RerankRequest) -> Dialect:
    """Raises RequestError for fields of one dialect among those of another."""
    if fields.texts is None:
        for name in _TEI_FIELDS:
            if getattr(fields, name) is not None:
                raise RequestError(ErrorCode.INVALID_REQUEST, f"'{name}' goes with 'texts', not 'documents'.", name)
        if fields.documents is None:
            raise RequestError(ErrorCode.INVALID_REQUEST, "Missing required field 'documents'.", "documents")
        return Dialect.COHERE_V2 if path == COHERE_V2_PATH else Dialect.JINA
    if fields.documents is not None:
        message = "'documents' and 'texts' exclude each other."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "texts")
    if path != TEI_PATH:
        message = f"'texts' is for {TEI_PATH} only; {path} takes 'documents'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "texts")
    for name in ("top_n", "return_documents"):
        if getattr(fields, name) is not None:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"'{name}' goes with 'documents', not 'texts'.", name)
    if fields.raw_scores is not None and (fields.use_activation, fields.activation, fields.softmax) != (None,) * 3:
        message = "'raw_scores' is another name of 'use_activation' and its like; give one of them."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "raw_scores")
    return Dialect.TEI


def rerank_limits(fields: RerankRequest, dialect: Dialect) -> PairLimits:
    """What happens to long texts. Where the request does not say it, the dialect's own servers decide: Cohere v2 and
    text-embeddings-inference cut them, the others refuse them."""
    truncate, side = fields.truncate_prompt_tokens, fields.truncation_side or "right"
    max_doc_tokens = fields.max_tokens_per_doc
    match dialect:
        case Dialect.TEI:
            if truncate is None and fields.truncate is not False:
                truncate = -1
            if fields.truncation_direction is not None:
                side = "left" if fields.truncation_direction.lower() == "left" else "right"
        case Dialect.COHERE_V2:
            truncate = -1 if truncate is None else truncate
            max_doc_tokens = COHERE_V2_DOC_TOKENS if max_doc_tokens is None else max_doc_tokens
        case Dialect.JINA:
            pass
    return PairLimits(truncate, side, fields.max_tokens_per_query or 0, max_doc_tokens or 0)
