"""tool_choice in all its spellings, and the JSON schema of an answer that must be calls."""

from typing import Any

import msgspec
import pytest

from frontend.forced_calls import calls_schema, forced_calls, offered_tools
from frontend.schema_chat import Tool
from ipc.errors import RequestError
from tests.unit.frontend.test_constraint import compiled, matches, source

CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/City"}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"City": {"enum": ["Paris", "Rome"]}},
}
TREE = {
    "$id": "https://example.com/tree",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["kids"],
    "additionalProperties": False,
}


def tool(name: str, parameters: dict[str, Any] | None) -> Tool:
    function = {"name": name, "parameters": parameters, "strict": True}
    return msgspec.convert({"type": "function", "function": function}, Tool)


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


TOOLS = [tool("get_weather", CITY), tool("now", None), tool("tree", TREE)]


def test_required() -> None:
    found = source(forced_calls(TOOLS, "required", None))
    assert found.param == "tools"
    for fine in (
        '[{"name": "get_weather", "parameters": {"city": "Rome"}}]',
        '[{"name":"now","parameters":{}},{"name":"tree","parameters":{"kids":[{"kids":[]}]}}]',
    ):
        assert matches(found, fine), fine
    for wrong in (
        "[]",
        '[{"name":"get_weather","parameters":{"city":"Oslo"}}]',
        '[{"name":"other","parameters":{}}]',
        '[{"name":"now","parameters":[]}]',
        '[{"name":"now"}]',
        '[{"name":"tree","parameters":{"kids":[1]}}]',
    ):
        assert not matches(found, wrong), wrong


def test_one_call_only() -> None:
    found = source(forced_calls(TOOLS, "required", False))
    assert matches(found, '[{"name":"now","parameters":{}}]')
    assert not matches(found, '[{"name":"now","parameters":{}},{"name":"now","parameters":{}}]')


def test_a_named_tool_answers_its_arguments() -> None:
    assert matches(source(forced_calls(TOOLS, named("get_weather"), None)), '{"city": "Paris"}')
    assert matches(source(forced_calls(TOOLS, named("tree"), None)), '{"kids": [{"kids": []}]}')
    for wrong in ("[]", "1", '"x"'):
        assert not matches(source(forced_calls(TOOLS, named("now"), None)), wrong)


def test_calls_win_over_the_form_of_a_text() -> None:
    found = source(forced_calls(TOOLS, named("now"), None), response_format={"type": "json_object"})
    assert found.param == "tools"


def test_free_choices() -> None:
    for choice in (None, "auto", "none"):
        assert forced_calls(TOOLS, choice, None) is None
    assert forced_calls(None, "none", None) is None
    assert offered_tools(TOOLS, "none") == offered_tools(None, "auto") == []
    assert offered_tools(TOOLS, "required") == offered_tools(TOOLS, None) == TOOLS


def test_allowed_tools() -> None:
    def choice(mode: str) -> dict[str, Any]:
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named("tree"), named("now")]}}

    assert forced_calls(TOOLS, choice("auto"), None) is None
    assert offered_tools(TOOLS, choice("auto")) == TOOLS[1:]
    forced = forced_calls(TOOLS, choice("required"), None)
    assert forced is not None
    assert [place for place, _ in forced.tools] == [1, 2]
    assert not matches(source(forced), '[{"name":"get_weather","parameters":{"city":"Rome"}}]')


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ([], "required", "tool_choice"),
        (None, named("now"), "tool_choice"),
        (TOOLS, "any", "tool_choice"),
        (TOOLS, {"type": "function"}, "tool_choice.function.name"),
        (TOOLS, named("other"), "tool_choice.function.name"),
        (TOOLS, {"type": "custom"}, "tool_choice"),
        (TOOLS, {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, "tool_choice.allowed_tools"),
        (
            TOOLS,
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("other")]}},
            "tool_choice.allowed_tools.tools[0].function.name",
        ),
    ],
)
def test_refused(tools: list[Tool] | None, choice: Any, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        forced_calls(tools, choice, None)
    assert caught.value.param == param


def test_parameters_must_be_those_of_an_object() -> None:
    forced = forced_calls([*TOOLS, tool("bad", {"type": "string"})], "required", None)
    assert forced is not None
    with pytest.raises(RequestError) as caught:
        calls_schema(forced)
    assert caught.value.param == "tools[3].function.parameters"


def test_unsupported_parameters_are_not_ignored() -> None:
    bad = tool("bad", {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}})
    assert "uniqueItems" in compiled(source(forced_calls([bad], "required", None)))[1]


def test_endless_tools_are_refused_early() -> None:
    nested: dict[str, Any] = {"type": "object"}
    for _ in range(400):
        nested = {"type": "object", "properties": {"a": nested}}
    for parameters in (nested, {"type": "object", "description": "x" * 300_000}):
        with pytest.raises(RequestError):
            source(forced_calls([tool("deep", parameters)], "required", None))
