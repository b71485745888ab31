"""Which form a request asks its answer to have: at most one, over three generations of fields."""

from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec

from frontend.schema_structured import ResponseFormat, StructuralTag, StructuredFields, StructuredOutputs
from ipc.errors import ErrorCode, RequestError

ANY_OBJECT = {"type": "object"}


class FormKind(Enum):
    """What `AskedForm.value` is."""

    JSON = auto()  # a JSON schema
    REGEX = auto()  # a pattern of the whole answer
    CHOICE = auto()  # a list of answers
    GRAMMAR = auto()  # a grammar in Lark or GBNF
    TAGS = auto()  # a StructuralTag


class AskedForm(NamedTuple):
    """One form, and the field that asked for it."""

    kind: FormKind
    value: Any
    param: str


def asked_form(fields: StructuredFields) -> AskedForm | None:
    """None: any text. Raises RequestError for two forms, or a field that does not say its own."""
    outputs = fields.structured_outputs
    forms = [
        *([] if fields.response_format is None else _of_response_format(fields.response_format)),
        *([] if outputs is None else _of_structured_outputs(outputs)),
        *_given(FormKind.JSON, _schema(fields.guided_json, "guided_json"), "guided_json"),
        *_given(FormKind.REGEX, fields.guided_regex, "guided_regex"),
        *_given(FormKind.CHOICE, fields.guided_choice, "guided_choice"),
        *_given(FormKind.GRAMMAR, fields.guided_grammar, "guided_grammar"),
    ]
    if len(forms) > 1:
        first, second, *_ = (form.param for form in forms)
        message = f"An answer can have one form only: '{first}' and '{second}' were given."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, second)
    return forms[0] if forms else None


def _of_response_format(asked: ResponseFormat) -> list[AskedForm]:
    match asked.type:
        case "text":
            return []
        case "json_object":
            return [AskedForm(FormKind.JSON, ANY_OBJECT, "response_format")]
        case "json_schema":
            if asked.json_schema is None:
                raise _missing("response_format.json_schema")
            schema = asked.json_schema.schema
            param = "response_format.json_schema.schema"
            return [AskedForm(FormKind.JSON, ANY_OBJECT if schema is None else schema, param)]
        case "structural_tag":
            return [_tags(asked, "response_format")]


def _of_structured_outputs(asked: StructuredOutputs) -> list[AskedForm]:
    name = "structured_outputs"
    schema = _schema(asked.json, f"{name}.json")
    if asked.disable_additional_properties and schema is not None:
        try:
            schema = _closed(schema)
        except RecursionError:
            raise _too_deep(f"{name}.json") from None
    forms = [
        *_given(FormKind.JSON, schema, f"{name}.json"),
        *_given(FormKind.REGEX, asked.regex, f"{name}.regex"),
        *_given(FormKind.CHOICE, asked.choice, f"{name}.choice"),
        *_given(FormKind.GRAMMAR, asked.grammar, f"{name}.grammar"),
    ]
    if asked.json_object:
        forms.append(AskedForm(FormKind.JSON, ANY_OBJECT, f"{name}.json_object"))
    if asked.structural_tag is not None:
        param = f"{name}.structural_tag"
        forms.append(_tags(_decoded(asked.structural_tag, StructuralTag, param), param))
    return forms


def _given(kind: FormKind, value: Any, param: str) -> list[AskedForm]:
    return [] if value is None else [AskedForm(kind, value, param)]


def _schema(given: str | dict[str, Any] | bool | None, param: str) -> dict[str, Any] | bool | None:
    """A JSON schema, also from its JSON text."""
    schema: dict[str, Any] | bool | None = _decoded(given, Any, param)
    if schema is not None and not isinstance(schema, dict | bool):
        raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' must be a JSON schema.", param)
    return schema


def _decoded(given: Any, kind: Any, param: str) -> Any:
    """What a text holds as JSON; anything else as it is."""
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        message = f"'{param}' does not hold the JSON it should: {error}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param) from None
    except RecursionError:
        raise _too_deep(param) from None


def _tags(asked: StructuralTag, param: str) -> AskedForm:
    if asked.format is not None:
        message = f"'{param}.format' is not supported; say 'structures' and 'triggers'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, f"{param}.format")
    for field, value in (("structures", asked.structures), ("triggers", asked.triggers)):
        if not value:
            raise _missing(f"{param}.{field}")
    return AskedForm(FormKind.TAGS, asked, param)


def _too_deep(param: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' is nested too deeply.", param)


def _missing(param: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}'.", param)


def _closed(schema: Any) -> Any:
    """The schema, where objects that name their properties have no others unless it says so."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if "properties" in schema or "patternProperties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
