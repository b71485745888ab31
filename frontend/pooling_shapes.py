"""The shapes of the replies of embeddings, pooling, classify and Cohere's embed, for the API's description. Handlers
write these objects by hand; a test compares."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class TokenUsage(Struct, frozen=True):
    """Tokens of all inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingItem(Struct, frozen=True):
    """One input's vector: numbers, or little-endian float32 in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingReply(Struct, frozen=True):
    """POST /v1/embeddings."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[EmbeddingItem]
    usage: TokenUsage


class PoolingItem(Struct, frozen=True):
    """One input's vector or probabilities."""

    index: int
    object: Literal["pooling"]
    data: list[float] | str


class PoolingReply(Struct, frozen=True):
    """POST /pooling."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[PoolingItem]
    usage: TokenUsage


class ClassifyItem(Struct, frozen=True):
    """One input's likeliest label, and the probabilities of all in the order of the model's labels."""

    index: int
    label: str
    probs: list[float]
    num_classes: int


class ClassifyReply(Struct, frozen=True):
    """POST /classify."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[ClassifyItem]
    usage: TokenUsage


class CohereVectors(Struct, frozen=True, rename={"floats": "float"}):
    """Vectors by type; those that were asked for."""

    floats: list[list[float]] | UnsetType = UNSET
    int8: list[list[int]] | UnsetType = UNSET
    uint8: list[list[int]] | UnsetType = UNSET
    binary: list[list[int]] | UnsetType = UNSET
    ubinary: list[list[int]] | UnsetType = UNSET
    base64: list[str] | UnsetType = UNSET


class CohereEmbedVersion(Struct, frozen=True):
    """Cohere's version of the endpoint."""

    version: str


class CohereEmbedUnits(Struct, frozen=True):
    """What Cohere would bill."""

    input_tokens: int


class CohereEmbedMeta(Struct, frozen=True):
    """About the request."""

    api_version: CohereEmbedVersion
    billed_units: CohereEmbedUnits


class CohereEmbedReply(Struct, frozen=True):
    """POST /v2/embed. /v1/embed without types: `embeddings` is a list of vectors."""

    id: str
    embeddings: CohereVectors | list[list[float]]
    texts: list[str]
    meta: CohereEmbedMeta
    response_type: Literal["embeddings_by_type", "embeddings_floats"]
