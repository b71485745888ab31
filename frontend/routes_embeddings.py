"""POST /v1/embeddings and /embeddings: OpenAI's, with the model's own pooling, prompts and last step."""

import time
from uuid import uuid4

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.pooled_request import open_pooled
from frontend.schema_embeddings import EmbeddingRequest
from frontend.serving import Serving
from frontend.vector_encoding import encoded_rows, numbers_reply
from frontend.vectors import check_dimensions, finish

ENDPOINT = "/v1/embeddings"


async def embeddings(serving: Serving, request: Request) -> HTTPResponse:
    """A vector for each input, in order."""
    pooled = await open_pooled(serving, request, EmbeddingRequest, unsupported_fields.EMBEDDINGS)
    fields = pooled.fields
    model = serving.models.pick(fields.model, "embed", ENDPOINT)
    check_dimensions(fields.dimensions, model.card, "dimensions")
    texts = await pooled.texts(model, fields.prompt_name, fields.input_type)
    rows = await pooled.outputs(model, texts)
    embedding = model.card.embedding
    own = embedding is None or embedding.normalize
    normalize = own if fields.is_normalized is None else fields.is_normalized
    written = await encoded_rows(finish(rows, fields.dimensions, normalize), fields.encoding_format)
    return numbers_reply(
        {
            "id": f"embd-{uuid4().hex}",
            "object": "list",
            "created": int(time.time()),
            "model": model.card.name,
            "data": [
                {"object": "embedding", "index": index, "embedding": field} for index, field in enumerate(written)
            ],
            "usage": {"prompt_tokens": texts.num_tokens, "total_tokens": texts.num_tokens},
        }
    )
