"""The field types that several request schemas share, bounds included. A bound that is broken names its field by
itself."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontend.deadline import Timeout
from frontend.schema_structured import StructuredFields

Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(gt=0, le=1)]
TopK = Annotated[int, Meta(ge=-1, lt=1 << 31)]  # -1 and 0: off
MinP = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
NumChoices = Annotated[int, Meta(ge=1, le=128)]
MaxTokens = Annotated[int, Meta(ge=1, le=(1 << 31) - 1)]
MinTokens = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
TokenId = Annotated[int, Meta(ge=0, lt=1 << 31)]
StopTokenIds = Annotated[list[TokenId], Meta(max_length=1024)]
StopString = Annotated[str, Meta(min_length=1, max_length=1024)]
Stop = StopString | Annotated[list[StopString], Meta(max_length=16)]
Priority = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]
CacheSalt = Annotated[str, Meta(max_length=512)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
RepetitionPenalty = Annotated[float, Meta(gt=0, le=100)]
LogitBias = Annotated[
    dict[Annotated[str, Meta(max_length=16)], Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=1 << 16)
]  # keys are token ids
AllowedTokenIds = Annotated[list[TokenId], Meta(max_length=1 << 19)]
BadWords = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=256)]
NumLogprobs = Annotated[int, Meta(ge=0, lt=1 << 31)]  # --max-logprobs says how many at most
TruncatePromptTokens = Annotated[int, Meta(ge=-1, lt=1 << 31)]
User = Annotated[str, Meta(max_length=4096)]


class StreamOptions(Struct, frozen=True):
    """`include_usage`: one more chunk before the end, with the usage of the whole request. `continuous_usage_stats`:
    with it, every chunk tells the usage so far."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class GenerateFields(StructuredFields, frozen=True, kw_only=True):
    """What completions and chat have in common. None everywhere means: not said."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: NumChoices | None = None
    best_of: NumChoices | None = None
    max_tokens: MaxTokens | None = None
    min_tokens: MinTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    min_p: MinP | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: RepetitionPenalty | None = None
    logit_bias: LogitBias | None = None
    allowed_token_ids: AllowedTokenIds | None = None
    bad_words: BadWords | None = None
    stop: Stop | None = None
    stop_token_ids: StopTokenIds | None = None
    include_stop_str_in_output: bool | None = None
    ignore_eos: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None  # no decoder of ours writes such spaces
    truncate_prompt_tokens: TruncatePromptTokens | None = None  # -1: what leaves room for the output
    truncation_side: Literal["left", "right"] | None = None  # the side that gives way
    add_special_tokens: bool | None = None
    echo: bool | None = None
    prompt_logprobs: NumLogprobs | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    cache_salt: CacheSalt | None = None
    priority: Priority | None = None
    user: User | None = None
    timeout: Timeout | None = None
