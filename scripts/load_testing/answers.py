"""The parts of a server's answers that are looked at; everything else in them is passed over."""

import msgspec
from msgspec import Struct


class Usage(Struct, frozen=True):
    prompt_tokens: int | None = None  # a score answer's usage may be empty
    completion_tokens: int | None = None


class Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # newer name of the same

    @property
    def has_text(self) -> bool:
        return bool(self.content or self.reasoning_content or self.reasoning)


class Choice(Struct, frozen=True):
    text: str | None = None
    delta: Delta | None = None

    @property
    def has_text(self) -> bool:
        return bool(self.text) or (self.delta is not None and self.delta.has_text)


class ErrorBody(Struct, frozen=True):
    message: str = ""
    code: str | int | None = None


class Answer(Struct, frozen=True):
    """A whole JSON answer, or one event of a stream."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: ErrorBody | None = None


class Model(Struct, frozen=True):
    id: str
    task: str | None = None  # zerolane says it, others do not
    max_model_len: int | None = None  # zerolane and vLLM say it


class ModelList(Struct, frozen=True):
    data: list[Model]


class Tokenized(Struct, frozen=True):
    """An answer of /tokenize."""

    count: int


decode_tokenized = msgspec.json.Decoder(Tokenized).decode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_models = msgspec.json.Decoder(ModelList).decode
