"""Values that a model writes without JSON's quotes: what they are is known from the tool's JSON schema."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from frontend.schema_chat import Tool

_PYTHON_NAMES = {"True": "true", "False": "false", "None": "null"}
_MAX_DEPTH = 8  # of schemas inside anyOf; deeper ones allow everything
_ALL = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})


class ValueTypes:
    """The JSON types that each parameter of each tool may have."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._properties: dict[str, Any] = {}
        for tool in tools:
            properties = (tool.function.parameters or {}).get("properties")
            self._properties[tool.function.name] = properties if isinstance(properties, Mapping) else {}

    def of(self, tool: str, parameter: str) -> frozenset[str]:
        """Names as JSON Schema has them; a parameter that nothing is known of is text."""
        known = self._properties.get(tool, {})
        return _types(known[parameter], 0) if parameter in known else frozenset({"string"})


def _types(schema: Any, depth: int) -> frozenset[str]:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return _ALL
    kind = schema.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(name for name in kind if isinstance(name, str))
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if isinstance(choices, list) and choices:
            return frozenset().union(*(_types(choice, depth + 1) for choice in choices[:64]))
    if isinstance(schema.get("enum"), list):
        return frozenset(_type_of(value) for value in schema["enum"][:1024])
    return _ALL


def json_text(written: str, types: frozenset[str]) -> str:
    """The value as JSON text: the model's own where it is JSON of an allowed type, else a JSON string."""
    if types != {"string"}:
        text = written.strip()
        text = _PYTHON_NAMES.get(text, text)
        if text and _is_json_of(text, types):
            return text
    return json.dumps(written, ensure_ascii=False)


def _is_json_of(text: str, types: frozenset[str]) -> bool:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    kind = _type_of(value)
    if kind == "integer" or (isinstance(value, float) and value.is_integer()):
        return not types.isdisjoint({"integer", "number"})
    return kind in types


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for python, name in ((str, "string"), (int, "integer"), (float, "number"), (Mapping, "object"), (list, "array")):
        if isinstance(value, python):
            return name
    return "null"
