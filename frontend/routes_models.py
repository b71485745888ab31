"""GET /v1/models and /v1/models/{id}."""

from typing import Any
from urllib.parse import unquote

from sanic import HTTPResponse, Request

from frontend.http_reply import json_reply
from frontend.serving import Serving
from ipc.model_card import ModelCard


async def list_models(serving: Serving, request: Request) -> HTTPResponse:
    """All served models, in the operator's order."""
    await serving.wait_for_models()
    return json_reply({"object": "list", "data": [_model(model.card) for model in serving.models.models]})


async def one_model(serving: Serving, request: Request, model_id: str) -> HTTPResponse:
    """One model; its id may hold slashes, escaped or not."""
    await serving.wait_for_models()
    return json_reply(_model(serving.models.named(unquote(model_id)).card))


def _model(card: ModelCard) -> dict[str, Any]:
    """OpenAI's model object, with the fields that vLLM's clients read."""
    return {
        "id": card.name,
        "object": "model",
        "created": card.created,
        "owned_by": "zerolane",
        "root": card.name,
        "parent": None,
        "max_model_len": card.max_model_len,
        "permission": [],
        "task": card.task,
    }
