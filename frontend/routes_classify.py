"""POST /classify and /v1/classify: the labels of texts, by a model that has some."""

import time
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from sanic import HTTPResponse, Request

from frontend import unsupported_fields
from frontend.label_activation import activated
from frontend.packed_texts import PackedTexts
from frontend.pooled_request import open_pooled
from frontend.schema_embeddings import ClassifyRequest
from frontend.serving import Serving
from frontend.vector_encoding import numbers_reply
from ipc.model_card import ModelCard

ENDPOINT = "/classify"


async def classify(serving: Serving, request: Request) -> HTTPResponse:
    """For each input the likeliest label and the probabilities of all, in the order of the model's labels."""
    pooled = await open_pooled(serving, request, ClassifyRequest, unsupported_fields.POOLING)
    model = serving.models.pick(pooled.fields.model, "score", ENDPOINT)
    texts = await pooled.texts(model)
    logits = await pooled.outputs(model, texts)
    rows = activated(logits, model.card.label_activation) if pooled.fields.is_activated else logits.astype(np.float64)
    return numbers_reply(_reply(rows, model.card, texts))


def _reply(rows: npt.NDArray[np.float64], card: ModelCard, texts: PackedTexts) -> dict[str, Any]:
    return {
        "id": f"classify-{uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": card.name,
        "data": [
            {"index": index, "label": card.labels[int(row.argmax())], "probs": row, "num_classes": len(row)}
            for index, row in enumerate(rows)
        ],
        "usage": {"prompt_tokens": texts.num_tokens, "total_tokens": texts.num_tokens},
    }
