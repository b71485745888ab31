"""POST /v2/embed and /v1/embed: Cohere's embed API."""

from typing import Any
from uuid import uuid4

from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.deadline import deadline_of
from frontend.encode_prefix import Side
from frontend.packed_texts import PackedTexts, TextLimits
from frontend.pooled_outputs import pooled_outputs
from frontend.pooling_inputs import pack_inputs, prompt_before
from frontend.read_body import read_body
from frontend.request_body import check_content_type, decode_body
from frontend.request_id import request_id
from frontend.schema_embeddings import CohereEmbedRequest
from frontend.sequence_work import Order
from frontend.serving import Serving
from frontend.tenant import tenant_of
from frontend.text_model import TextModel
from frontend.tokenize import off_loop
from frontend.vector_encoding import cohere_encoded, numbers_reply
from frontend.vectors import Vectors, check_dimensions, finish
from ipc.errors import ErrorCode, RequestError

ENDPOINT = "/v2/embed"
V1 = "/v1/embed"
_SIDES: dict[str, Side] = {"START": "left", "END": "right"}


async def cohere_embed(serving: Serving, request: Request) -> HTTPResponse:
    """Vectors for each text, in each of the types asked for."""
    check_content_type(request.headers.get("content-type"))
    body = await read_body(request, serving.config.max_body_bytes)
    fields = decode_body(body, CohereEmbedRequest, unsupported_fields.COHERE_EMBED)
    deadline_of(request).tighten(fields.timeout)
    model = serving.models.pick(fields.model, "embed", ENDPOINT)
    check_dimensions(fields.output_dimension, model.card, "output_dimension")
    texts = _texts(fields)
    packed = await off_loop(len(body), lambda: _packed(texts, fields, model))
    order = Order(request_id(request), tenant_of(request, fields.user), fields.priority or 0)
    vectors = finish(await pooled_outputs(serving, model, packed, order), fields.output_dimension, normalize=True)
    is_v1 = request.path.endswith(V1)
    num_told = vectors.size * max(1, len(fields.embedding_types or ()))
    return await off_loop(num_told, lambda: numbers_reply(_reply(vectors, texts, packed, fields, is_v1)))


def _texts(fields: CohereEmbedRequest) -> list[str]:
    """Raises RequestError for images, and for anything but exactly one list of texts."""
    if fields.images is not None:
        raise RequestError(ErrorCode.INVALID_REQUEST, "Images cannot be embedded yet.", "images")
    if (fields.texts is None) == (fields.inputs is None):
        raise RequestError(ErrorCode.INVALID_REQUEST, "Give either 'texts' or 'inputs'.", "texts")
    if fields.texts is not None:
        return fields.texts
    texts: list[str] = []
    for place, one in enumerate(fields.inputs or ()):
        for number, part in enumerate(one.content):
            if part.type != "text" or part.text is None:
                param = f"inputs[{place}].content[{number}]"
                raise RequestError(ErrorCode.INVALID_REQUEST, "Only parts of type 'text' can be embedded yet.", param)
        texts.append("\n".join(part.text or "" for part in one.content))
    return texts


def _packed(texts: list[str], fields: CohereEmbedRequest, model: TextModel) -> PackedTexts:
    """Cohere cuts long texts at the end unless told otherwise. Raises RequestError."""
    how = fields.truncate or "END"
    cuts = TextLimits(truncate=fields.max_tokens or -1, side=_SIDES.get(how, "right"))
    limits = TextLimits() if how == "NONE" else cuts
    param = "inputs" if fields.texts is None else "texts"
    return pack_inputs(texts, model, prompt_before(model, None, fields.input_type), limits, param)


def _reply(
    vectors: Vectors, texts: list[str], packed: PackedTexts, fields: CohereEmbedRequest, is_v1: bool
) -> dict[str, Any]:
    """By type; v1 without types is a plain list of vectors."""
    kinds = fields.embedding_types or ["float"]
    is_plain = is_v1 and fields.embedding_types is None
    embeddings: Any = {kind: cohere_encoded(vectors, kind) for kind in dict.fromkeys(kinds)}
    return {
        "id": f"embd-{uuid4().hex}",
        "embeddings": embeddings["float"] if is_plain else embeddings,
        "texts": texts,
        "meta": {
            "api_version": {"version": "1" if is_v1 else "2"},
            "billed_units": {"input_tokens": packed.num_tokens},
        },
        "response_type": "embeddings_floats" if is_plain else "embeddings_by_type",
    }
