"""The shapes of small replies, for the API's description. The handlers write these objects by hand; a test compares."""

from typing import Literal

from msgspec import Struct


class Health(Struct, frozen=True):
    """GET /health."""

    status: Literal["ok"]


class Ready(Struct, frozen=True):
    """GET /ready."""

    status: Literal["ready"]
    models: list[str]


class Version(Struct, frozen=True):
    """GET /version."""

    version: str


class ModelCardReply(Struct, frozen=True):
    """OpenAI's model object, with the fields that vLLM's clients read."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    parent: None
    max_model_len: int
    permission: list[str]
    task: Literal["generate", "score", "embed"]


class ModelList(Struct, frozen=True):
    """GET /v1/models."""

    object: Literal["list"]
    data: list[ModelCardReply]


class ErrorObject(Struct, frozen=True):
    """What went wrong; `param` names the field at fault, `code` is for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(Struct, frozen=True):
    """OpenAI's error."""

    error: ErrorObject


class AnthropicErrorObject(Struct, frozen=True):
    """What went wrong."""

    type: str
    message: str


class AnthropicErrorReply(Struct, frozen=True):
    """Anthropic's error."""

    type: Literal["error"]
    error: AnthropicErrorObject
    request_id: str
