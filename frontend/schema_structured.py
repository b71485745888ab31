"""The fields with which a request says what form its answer must have, in OpenAI's, vLLM's and vLLM's older spelling.

What they mean is in `grammar_source.py`; sizes that depend on the written-out grammar are checked there.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

SchemaObject = dict[str, Any] | bool  # a JSON schema
SchemaName = Annotated[str, Meta(min_length=1, max_length=256)]
Pattern = Annotated[str, Meta(min_length=1)]
WhitespacePattern = Annotated[str, Meta(max_length=256)]
Choices = Annotated[list[str], Meta(min_length=1, max_length=10_000)]
TagText = Annotated[str, Meta(max_length=1024)]


class JsonSchema(Struct, frozen=True):
    """OpenAI's named schema. It holds whether `strict` or not; `name` and `description` are for the client."""

    name: SchemaName
    schema: SchemaObject | None = None  # None: any JSON object
    description: str | None = None
    strict: bool | None = None


class Structure(Struct, frozen=True):
    """A piece of the answer: `begin`, then JSON of this schema, then `end`."""

    begin: Annotated[str, Meta(min_length=1, max_length=1024)]
    end: TagText
    schema: SchemaObject | None = None  # None: any JSON object


class StructuralTag(Struct, frozen=True, kw_only=True):
    """Free text until one of `triggers`; from there on one of the structures that begin with it."""

    structures: Annotated[list[Structure], Meta(min_length=1, max_length=256)] | None = None
    triggers: Annotated[list[Annotated[str, Meta(min_length=1, max_length=1024)]], Meta(max_length=256)] | None = None
    format: Any = None  # xgrammar's newer form, which is refused


class ResponseFormat(StructuralTag, frozen=True, kw_only=True):
    """OpenAI's response_format, with vLLM's structural_tag."""

    type: Literal["text", "json_object", "json_schema", "structural_tag"]
    json_schema: JsonSchema | None = None


class StructuredOutputs(Struct, frozen=True, kw_only=True):
    """vLLM's structured_outputs: one of the first six."""

    json: str | SchemaObject | None = None
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Pattern | None = None
    json_object: bool | None = None
    structural_tag: str | StructuralTag | None = None  # a str: its JSON text
    whitespace_pattern: WhitespacePattern | None = None
    disable_any_whitespace: bool | None = None
    disable_additional_properties: bool | None = None
    disable_fallback: bool | None = None  # there is one grammar library: nothing to fall back to


class StructuredFields(Struct, frozen=True, kw_only=True):
    """A request's fields, of which at most one kind may ask for something."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: str | SchemaObject | None = None
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    guided_grammar: Pattern | None = None
    guided_whitespace_pattern: WhitespacePattern | None = None
    guided_decoding_backend: Annotated[str, Meta(max_length=64)] | None = None  # there is one; what it says is the same
