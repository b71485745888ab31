"""What `tool_choice` says: may the model call tools, must it, and which ones. And the JSON schema of an answer that
must be calls.

Forced calls are plain JSON, whatever form the model was taught: an array of {"name", "parameters"} for "required", the
arguments object alone for a named tool.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from frontend.schema_chat import Tool
from ipc.errors import ErrorCode, RequestError

PARAM = "tool_choice"
Place = tuple[int, Tool]  # a tool and its index in the request's `tools`


class ForcedCalls(NamedTuple):
    """The answer must consist of calls of these tools."""

    tools: tuple[Place, ...]  # at least one
    is_named: bool  # exactly one call, of the one tool: the answer is its arguments
    parallel: bool  # several calls may come


def forced_calls(
    tools: Sequence[Tool] | None, tool_choice: str | dict[str, Any] | None, parallel: bool | None
) -> ForcedCalls | None:
    """None: the model is free to call tools or not ("auto"), or may not ("none"). Raises RequestError."""
    places = tuple(enumerate(tools or ()))
    if tool_choice is None or tool_choice in ("auto", "none"):
        return None
    if not places:
        raise _refusal("'tool_choice' needs 'tools'.")
    if tool_choice == "required":
        return ForcedCalls(places, is_named=False, parallel=parallel is not False)
    if isinstance(tool_choice, dict) and tool_choice.get("type") == "function":
        return ForcedCalls((_named(places, tool_choice.get("function"), f"{PARAM}.function"),), True, False)
    if isinstance(tool_choice, dict) and tool_choice.get("type") == "allowed_tools":
        allowed, mode = _allowed(places, tool_choice.get("allowed_tools"))
        return ForcedCalls(allowed, False, parallel is not False) if mode == "required" else None
    raise _refusal(
        '\'tool_choice\' must be "none", "auto", "required", {"type": "function", "function": {"name": ...}} or '
        '{"type": "allowed_tools", "allowed_tools": {"mode": ..., "tools": [...]}}.'
    )


def offered_tools(tools: Sequence[Tool] | None, tool_choice: str | dict[str, Any] | None) -> list[Tool]:
    """The tools a prompt shows: none for "none", the allowed ones for OpenAI's allowed_tools. Raises RequestError."""
    if not tools or tool_choice == "none":
        return []
    if isinstance(tool_choice, dict) and tool_choice.get("type") == "allowed_tools":
        return [tool for _, tool in _allowed(tuple(enumerate(tools)), tool_choice.get("allowed_tools"))[0]]
    return list(tools)


def calls_schema(forced: ForcedCalls) -> dict[str, Any]:
    """What the answer's JSON must be. Raises RequestError for parameters that are not those of an object."""
    schemas = [arguments_schema(place, tool) for place, tool in forced.tools]
    if forced.is_named:
        return schemas[0]
    definitions = {str(place): _moved(schema, place) for (place, _), schema in zip(forced.tools, schemas, strict=True)}
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.function.name}, "parameters": {"$ref": f"#/$defs/{place}"}},
            "required": ["name", "parameters"],
            "additionalProperties": False,
        }
        for place, tool in forced.tools
    ]
    array: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"anyOf": calls}, "$defs": definitions}
    return array if forced.parallel else array | {"maxItems": 1}


def arguments_schema(place: int, tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments, which are an object whatever else the tool says. Raises RequestError."""
    schema = tool.function.parameters or {}
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        param = f"tools[{place}].function.parameters"
        raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' must describe an object.", param)
    return schema | {"type": "object"}


def _moved(schema: dict[str, Any], place: int) -> dict[str, Any]:
    """The schema as it reads inside another document: what pointed into it now points to its new place there."""
    moved = _with_references(schema, f"#/$defs/{place}")
    return {key: value for key, value in moved.items() if key not in ("$id", "id", "$schema")}


def _with_references(value: Any, root: str) -> Any:
    """Recursion is as deep as the body, whose depth the JSON decoder bounds."""
    if isinstance(value, list):
        return [_with_references(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _with_references(item, root) for key, item in value.items()}
    reference = value.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        changed["$ref"] = root + reference[1:]
    return changed


def _named(places: Sequence[Place], function: Any, param: str) -> Place:
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise RequestError(ErrorCode.INVALID_REQUEST, f"Missing required field '{param}.name'.", f"{param}.name")
    for place, tool in places:
        if tool.function.name == name:
            return place, tool
    raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}.name': there is no tool {name[:128]!r}.", f"{param}.name")


def _allowed(places: Sequence[Place], allowed: Any) -> tuple[tuple[Place, ...], str]:
    """The tools OpenAI's allowed_tools leaves, and its mode."""
    param = f"{PARAM}.allowed_tools"
    mode = allowed.get("mode") if isinstance(allowed, dict) else None
    named = allowed.get("tools") if isinstance(allowed, dict) else None
    if mode not in ("auto", "required") or not isinstance(named, list) or not named or len(named) > len(places):
        message = (
            f"'{param}' needs a 'mode' (\"auto\" or \"required\") and a list 'tools' of some of the request's tools."
        )
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
    functions = (tool.get("function") if isinstance(tool, dict) else None for tool in named)
    found = dict(
        _named(places, function, f"{param}.tools[{number}].function") for number, function in enumerate(functions)
    )
    return tuple(sorted(found.items(), key=lambda item: item[0])), mode


def _refusal(message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, message, PARAM)
