"""The field types that several request schemas share, bounds included. A bound that is broken names its field by
itself."""

from typing import Annotated

from msgspec import Meta, Struct

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(gt=0, le=1)]
TopK = Annotated[int, Meta(ge=-1, lt=1 << 31)]  # -1 and 0: off
MinP = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
NumChoices = Annotated[int, Meta(ge=1, le=128)]
MaxTokens = Annotated[int, Meta(ge=1, le=(1 << 31) - 1)]
TokenId = Annotated[int, Meta(ge=0, lt=1 << 31)]
StopTokenIds = Annotated[list[TokenId], Meta(max_length=1024)]
StopString = Annotated[str, Meta(min_length=1, max_length=1024)]
Stop = StopString | Annotated[list[StopString], Meta(max_length=16)]
Priority = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
CacheSalt = Annotated[str, Meta(max_length=512)]


class StreamOptions(Struct, frozen=True):
    """`include_usage`: one more chunk before the end, with the usage of the whole request."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class GenerateFields(Struct, frozen=True, kw_only=True):
    """What completions and chat have in common. None everywhere means: not said."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: NumChoices | None = None
    best_of: NumChoices | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    seed: Seed | None = None
    stop: Stop | None = None
    stop_token_ids: StopTokenIds | None = None
    ignore_eos: bool | None = None
    cache_salt: CacheSalt | None = None
    priority: Priority | None = None
