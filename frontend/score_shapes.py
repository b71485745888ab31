"""The shapes of the replies of score, rerank, tokenize and detokenize, for the API's description. The handlers write
these objects by hand; a test compares."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class ScoreItem(Struct, frozen=True):
    """One pair. `score`: a list with a number for each label, or with --score-format float and one label a number; null
    where the request's time was over before."""

    index: int
    object: Literal["score"]
    score: list[float] | float | None


class ScoreUsage(Struct, frozen=True):
    """Empty, unless the server was started with --score-format float."""

    prompt_tokens: int | UnsetType = UNSET
    total_tokens: int | UnsetType = UNSET
    completion_tokens: int | UnsetType = UNSET


class ScoreReply(Struct, frozen=True):
    """POST /v1/score."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[ScoreItem]
    usage: ScoreUsage
    partial: bool | UnsetType = UNSET  # true: the request's time was over before all scores had come


class RankedText(Struct, frozen=True):
    """A document as it was sent."""

    text: str


class RerankResult(Struct, frozen=True):
    """One document's place in the order."""

    index: int
    relevance_score: float
    document: RankedText | UnsetType = UNSET


class RerankUsage(Struct, frozen=True):
    """Tokens of all pairs."""

    prompt_tokens: int
    total_tokens: int


class ApiVersion(Struct, frozen=True):
    """Cohere's version of the endpoint."""

    version: str


class BilledUnits(Struct, frozen=True):
    """Cohere's unit of account: 100 documents."""

    search_units: int


class RerankMeta(Struct, frozen=True):
    """What Cohere's clients read."""

    api_version: ApiVersion
    billed_units: BilledUnits


class RerankReply(Struct, frozen=True):
    """POST /rerank with `documents`."""

    id: str
    object: Literal["list"]
    model: str
    results: list[RerankResult]
    usage: RerankUsage
    meta: RerankMeta
    partial: bool | UnsetType = UNSET


class TeiRank(Struct, frozen=True):
    """One text's place in the order."""

    index: int
    score: float
    text: str | UnsetType = UNSET


class TokenizeReply(Struct, frozen=True):
    """POST /tokenize with `prompt` or `messages`."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None


class TeiToken(Struct, frozen=True):
    """One token; `start` and `stop` in characters of the input, null for special tokens."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class DetokenizeReply(Struct, frozen=True):
    """POST /detokenize."""

    prompt: str
