"""The bodies of POST /v1/score and /score, and what they share with rerank's."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from frontend.deadline import Timeout
from frontend.schema_fields import Priority, TruncatePromptTokens, User
from ipc.errors import ErrorCode, RequestError

MaxTextTokens = Annotated[int, Meta(ge=0, lt=1 << 31)]


class TextPart(Struct, frozen=True):
    """One part of a text; only parts of type "text" can be taken."""

    type: str
    text: str | None = None


class TextObject(Struct, frozen=True):
    """A text as Jina's clients write it (`text`) or vLLM's (`content`)."""

    text: str | None = None
    content: str | Annotated[list[TextPart], Meta(min_length=1, max_length=1024)] | None = None


MAX_PAIRS = 10_000  # of one request

Text = str | TextObject
Texts = Text | Annotated[list[Text], Meta(min_length=1, max_length=MAX_PAIRS)]


class PairFields(Struct, frozen=True, kw_only=True):
    """What score and rerank have in common. None everywhere means: not said."""

    model: str | None = None
    truncate_prompt_tokens: TruncatePromptTokens | None = None  # -1: what the model takes
    truncation_side: Literal["left", "right"] | None = None
    max_tokens_per_query: MaxTextTokens | None = None  # 0: no such bound
    max_tokens_per_doc: MaxTextTokens | None = None
    use_activation: bool | None = None  # false: raw logits
    activation: Literal["none", "raw", "sigmoid", "softmax"] | bool | None = None
    softmax: bool | None = None  # an older name of use_activation
    priority: Priority | None = None
    user: User | None = None
    timeout: Timeout | None = None


class ScoreRequest(PairFields, frozen=True, kw_only=True):
    """Pairs of texts, in one of four spellings: one with one, one with each of a list, or two lists by index."""

    text_1: Texts | None = None
    text_2: Texts | None = None
    queries: Texts | None = None
    documents: Texts | None = None
    items: Texts | None = None
    data_1: Texts | None = None
    data_2: Texts | None = None
    encoding_format: Literal["float"] | None = None
    stream: bool | None = None  # scores as they come, as server-sent events


SPELLINGS = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))


def spelling_of(fields: ScoreRequest) -> tuple[str, str]:
    """The names of the two fields that hold the texts. Raises RequestError unless exactly one spelling is used."""
    given = [name for name in ScoreRequest.__struct_fields__ if _is_side(name) and getattr(fields, name) is not None]
    for pair in SPELLINGS:
        if sorted(pair) == sorted(given):
            return pair
    partners = [pair for pair in SPELLINGS if given and given[0] in pair]
    if len(given) == 1:
        others = " or ".join(f"'{next(one for one in pair if one != given[0])}'" for pair in partners)
        missing = next(one for one in partners[0] if one != given[0])
        raise RequestError(ErrorCode.INVALID_REQUEST, f"'{given[0]}' needs {others} beside it.", missing)
    if not given:
        raise RequestError(ErrorCode.INVALID_REQUEST, "Missing required fields 'text_1' and 'text_2'.", "text_1")
    message = f"These fields exclude one another: {', '.join(given)}. Give 'text_1' and 'text_2'."
    raise RequestError(ErrorCode.INVALID_REQUEST, message, given[-1])


def _is_side(name: str) -> bool:
    return any(name in pair for pair in SPELLINGS)


def plain_texts(texts: Text | Sequence[Text], param: str) -> list[str]:
    """The strings. Raises RequestError naming the first part that is no text."""
    if isinstance(texts, str | TextObject):
        return [plain_text(texts, param)]
    return [plain_text(text, f"{param}[{index}]") for index, text in enumerate(texts)]


def plain_text(text: Text, param: str) -> str:
    """One string; several parts become lines. Raises RequestError."""
    if isinstance(text, str):
        return text
    if (text.text is None) == (text.content is None):
        message = f"'{param}' must be a string, or an object with either 'text' or 'content'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
    if text.text is not None:
        return text.text
    if isinstance(text.content, str):
        return text.content
    return "\n".join(_part(part, f"{param}.content[{index}]") for index, part in enumerate(text.content or ()))


def _part(part: TextPart, param: str) -> str:
    if part.type != "text" or part.text is None:
        message = f"'{param}' is of type '{part.type[:64]}'; only parts of type 'text', with a 'text', can be scored."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, f"{param}.type" if part.type != "text" else param)
    return part.text
