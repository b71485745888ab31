"""The body of POST /v1/score and /score."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontend.schema_fields import Priority

TextList = Annotated[list[str], Meta(min_length=1)]


class ScoreRequest(Struct, frozen=True, kw_only=True):
    """Pairs of texts: one with one, one with each of a list, or two lists by index."""

    text_1: str | TextList
    text_2: str | TextList
    model: str | None = None
    encoding_format: Literal["float"] | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, lt=1 << 31)] | None = None  # -1: what the model takes
    priority: Priority | None = None
