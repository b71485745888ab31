"""The bodies of the routes that run texts through a model once: embeddings, pooling, classify."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from frontend.deadline import Timeout
from frontend.schema_chat import Message
from frontend.schema_fields import Priority, TokenId, TruncatePromptTokens, User

TokenIds = list[TokenId]
Input = str | Annotated[list[str | TokenId | TokenIds], Meta(min_length=1)]
"""One text, several, one list of token ids, or several; `pooling_inputs.py` refuses mixtures."""

Dimensions = Annotated[int, Meta(ge=1, lt=1 << 24)]
InputType = Literal[
    "query", "document", "passage", "search_query", "search_document", "classification", "clustering", "image"
]
PromptName = Annotated[str, Meta(max_length=256)]


class PoolingFields(Struct, frozen=True, kw_only=True):
    """What they have in common. None everywhere means: not said."""

    model: str | None = None
    input: Input | None = None
    messages: Annotated[list[Message], Meta(min_length=1)] | None = None  # instead of input: one prompt by the template
    truncate_prompt_tokens: TruncatePromptTokens | None = None  # -1: what the model takes
    truncation_side: Literal["left", "right"] | None = None
    add_special_tokens: bool | None = None  # true for input, false for messages
    add_generation_prompt: bool | None = None  # messages only, as the next three
    continue_final_message: bool | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    use_activation: bool | None = None  # false: the model's raw output
    activation: bool | None = None  # an older name of the same
    softmax: bool | None = None  # and an older one
    encoding_format: Literal["float", "base64"] | None = None
    priority: Priority | None = None
    user: User | None = None
    timeout: Timeout | None = None

    @property
    def is_activated(self) -> bool:
        """The model's own last step is wanted: length 1, or probabilities."""
        return False not in (self.use_activation, self.activation, self.softmax)


class EmbeddingFields(PoolingFields, frozen=True, kw_only=True):
    """What is said of vectors."""

    dimensions: Dimensions | None = None
    normalize: bool | None = None
    prompt_name: PromptName | None = None  # one of the model's own prompts
    input_type: InputType | None = None  # likewise, by what the texts are for

    @property
    def is_normalized(self) -> bool | None:
        """None: as the model has it."""
        return self.normalize if self.is_activated else False


class EmbeddingRequest(EmbeddingFields, frozen=True, kw_only=True):
    """POST /v1/embeddings."""


class PoolingRequest(EmbeddingFields, frozen=True, kw_only=True):
    """POST /pooling."""

    task: str | None = None  # embed or classify; None: what the model is for


class ClassifyRequest(PoolingFields, frozen=True, kw_only=True):
    """POST /classify."""


class CohereContent(Struct, frozen=True):
    """One part of a Cohere input."""

    type: str
    text: str | None = None


class CohereInput(Struct, frozen=True):
    """One Cohere input in parts."""

    content: Annotated[list[CohereContent], Meta(min_length=1)]


CohereType = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]


class CohereEmbedRequest(Struct, frozen=True, kw_only=True):
    """POST /v2/embed and /v1/embed."""

    model: str | None = None
    texts: Annotated[list[str], Meta(min_length=1)] | None = None
    inputs: Annotated[list[CohereInput], Meta(min_length=1)] | None = None
    images: list[Any] | None = None
    input_type: InputType | None = None
    embedding_types: Annotated[list[CohereType], Meta(min_length=1, max_length=6)] | None = None
    output_dimension: Dimensions | None = None
    truncate: Literal["NONE", "START", "END"] | None = None
    max_tokens: Annotated[int, Meta(ge=1, lt=1 << 31)] | None = None
    priority: Priority | None = None
    user: User | None = None
    timeout: Timeout | None = None
