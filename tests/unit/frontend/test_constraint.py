"""Every field that asks for a form, alone and together; what fits the grammar it becomes, and what is refused."""

from typing import Any

import msgspec
import pytest
from llguidance import LLMatcher

from frontend.compile_grammar import _tokenizer, compile_grammar
from frontend.forced_calls import ForcedCalls
from frontend.grammar_source import GrammarSource, grammar_source
from frontend.schema_structured import StructuredFields, StructuredOutputs
from ipc.errors import RequestError
from ipc.grammar_limits import LIMITS, MAX_GRAMMAR_BYTES

POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}
TAGS = {"structures": [{"begin": "<f=a>", "schema": POINT, "end": "</f>"}], "triggers": ["<f="]}
SPECIAL = ("<|call|>",)


def source(forced: ForcedCalls | None = None, **fields: Any) -> GrammarSource:
    found = grammar_source(msgspec.convert(fields, StructuredFields), forced, SPECIAL)
    assert found is not None
    return found


def compiled(found: GrammarSource) -> tuple[str, str]:
    return compile_grammar(found.text, found.is_user_text, SPECIAL, 300, LIMITS)


def matches(found: GrammarSource, text: str) -> bool:
    """The whole text is an answer; SPECIAL's token is written as its text."""
    grammar, reason = compiled(found)
    assert not reason
    matcher = LLMatcher(_tokenizer(SPECIAL, 300), grammar, log_level=0)
    before, _, after = text.partition(SPECIAL[0])
    tokens = [*before.encode(), *([257] if after else []), *after.encode()]
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": POINT, "strict": True}}},
        {"structured_outputs": {"json": POINT}},
        {"structured_outputs": {"json": msgspec.json.encode(POINT).decode()}},
        {"guided_json": POINT, "guided_decoding_backend": "xgrammar"},
        {"guided_json": msgspec.json.encode(POINT).decode()},
    ],
)
def test_json_schema(fields: dict[str, Any]) -> None:
    """Compact or pretty-printed, but no white space without end."""
    found = source(**fields)
    for fine in ('{"x":1}', '{"x": -12}', '{\n  "x": 1\n}', '{\n\t"x": 1\n}'):
        assert matches(found, fine), fine
    for wrong in ('{"x":"1"}', "{}", '{"x":1,"y":2}', '{  "x":1}', '{\n\n"x":1}', ' {"x":1}', '{"x":1} ', "[1]", "x"):
        assert not matches(found, wrong), wrong


def test_any_object() -> None:
    no_schema = {"type": "json_schema", "json_schema": {"name": "anything"}}
    for fields in (
        {"response_format": {"type": "json_object"}},
        {"structured_outputs": {"json_object": True}},
        {"response_format": no_schema},
    ):
        assert matches(source(**fields), '{"a": [1, {"b": null}]}')
        assert not matches(source(**fields), "[1]")


def test_white_space() -> None:
    compact = source(structured_outputs={"json": {"type": "array"}, "disable_any_whitespace": True})
    assert matches(compact, "[1,2]")
    assert not matches(compact, "[1, 2]")
    for fields in (
        {"guided_json": {"type": "array"}, "guided_whitespace_pattern": "[ ]{2}"},
        {"structured_outputs": {"json": {"type": "array"}, "whitespace_pattern": "[ ]{2}"}},
    ):
        assert matches(source(**fields), "[1,  2]")
        assert not matches(source(**fields), "[1, 2]")


def test_additional_properties_can_be_switched_off() -> None:
    schema = {"type": "array", "items": {"properties": {"a": {"type": "integer"}}, "type": "object"}}
    text = '[{"a":1,"b":2}]'
    assert matches(source(structured_outputs={"json": schema}), text)
    assert not matches(source(structured_outputs={"json": schema, "disable_additional_properties": True}), text)


def test_a_schema_too_deep_to_be_closed_is_refused() -> None:
    """It was a RecursionError, and the client got 500."""
    schema: dict[str, Any] = {}
    for _ in range(10_000):
        schema = {"items": schema}
    outputs = StructuredOutputs(json=schema, disable_additional_properties=True)
    with pytest.raises(RequestError, match="too deeply") as caught:
        grammar_source(StructuredFields(structured_outputs=outputs), None, SPECIAL)
    assert caught.value.param == "structured_outputs.json"


def test_x_guidance_of_a_schema_does_not_count() -> None:
    """It could say that keywords are to be ignored."""
    _, reason = compiled(source(guided_json={"not": {}, "x-guidance": {"lenient": True}}))
    assert "not" in reason


@pytest.mark.parametrize(
    "fields", [{"guided_regex": r"\d{2}-[a-zé]+"}, {"structured_outputs": {"regex": r"\d{2}-\w+"}}]
)
def test_regex(fields: dict[str, Any]) -> None:
    assert matches(source(**fields), "12-né")
    assert not matches(source(**fields), "x12-ne")
    assert not matches(source(**fields), "12-")


@pytest.mark.parametrize("name", ["guided_choice", "structured_outputs"])
def test_choice(name: str) -> None:
    choices = ["ab", "abc", "a.b", "é€😀", "a\nb", "#", "a/b", "~&-", "[x]", '"', "\\", "$^"]
    fields: dict[str, Any] = {name: choices if name == "guided_choice" else {"choice": choices}}
    found = source(**fields)
    for choice in choices:
        assert matches(found, choice), choice
    for wrong in ("axb", "abcd", "a", ""):
        assert not matches(found, wrong), wrong


@pytest.mark.parametrize("grammar", ['start: "a" b\nb: /[0-9]+/', 'root ::= "a" b\nb ::= [0-9]+'])
def test_lark_and_gbnf(grammar: str) -> None:
    for fields in ({"guided_grammar": grammar}, {"structured_outputs": {"grammar": grammar}}):
        assert matches(source(**fields), "a12")
        assert not matches(source(**fields), "a")


def test_a_grammar_may_name_the_models_special_tokens() -> None:
    assert matches(source(guided_grammar='start: <|call|> "a"'), "<|call|>a")
    _, reason = compiled(source(guided_grammar='start: <|other|> "a"'))
    assert "unknown special token" in reason


def test_structural_tags() -> None:
    text = msgspec.json.encode(TAGS).decode()
    for fields in (
        {"response_format": {"type": "structural_tag", **TAGS}},
        {"structured_outputs": {"structural_tag": TAGS}},
        {"structured_outputs": {"structural_tag": text}},
    ):
        found = source(**fields)
        assert matches(found, 'free text <f=a>{"x": 1}</f> and more')
        assert matches(found, "nothing of the kind")
        assert not matches(found, "free text <f=b>")
        assert not matches(found, 'free text <f=a>{"x": "1"}</f>')


def test_structural_tags_begun_by_a_special_token() -> None:
    found = source(
        structured_outputs={
            "structural_tag": {"structures": [{"begin": "<|call|>", "end": "!"}], "triggers": ["<|call|>"]}
        }
    )
    assert matches(found, 'so: <|call|>{"a": 1}! yes')
    assert not matches(found, "so: <|call|>yes")


def test_nothing_asked() -> None:
    nothing: list[dict[str, Any]] = [{}, {"response_format": {"type": "text"}}, {"structured_outputs": {}}]
    for fields in nothing:
        assert grammar_source(msgspec.convert(fields, StructuredFields), None, ()) is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guided_regex": "a", "guided_json": {}}, "guided_regex"),
        (
            {"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}},
            "structured_outputs.regex",
        ),
        ({"structured_outputs": {"regex": "a", "json": {}}}, "structured_outputs.regex"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "structural_tag"}}, "response_format.structures"),
        ({"response_format": {"type": "structural_tag", "format": {}}}, "response_format.format"),
        ({"structured_outputs": {"structural_tag": "{"}}, "structured_outputs.structural_tag"),
        ({"structured_outputs": {"structural_tag": TAGS | {"triggers": ["x"]}}}, "structured_outputs.structural_tag"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": "[]"}, "guided_json"),
        ({"guided_json": "[" * 5000}, "guided_json"),
        ({"guided_json": '{"a": "\ud800"}'}, "guided_json"),
        ({"guided_regex": "\ud800"}, "guided_regex"),
        ({"guided_choice": ["a", ""]}, "guided_choice"),
        ({"guided_regex": "a" * (MAX_GRAMMAR_BYTES + 1)}, "guided_regex"),
        ({"guided_regex": "é" * (MAX_GRAMMAR_BYTES - 100)}, "guided_regex"),
        ({"structured_outputs": {"json": {"enum": ["x" * MAX_GRAMMAR_BYTES]}}}, "structured_outputs.json"),
    ],
)
def test_refused_with_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        source(**fields)
    assert caught.value.param == param
    assert f"'{param}'" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"guided_json": {"type": "string", "format": "colour"}}, "Unknown format: colour"),
        ({"guided_json": {"type": "array", "uniqueItems": True}}, "uniqueItems"),
        ({"guided_json": {"if": {}}}, "if"),
        ({"guided_json": {"$ref": "https://example.com/schema"}}, "does not fetch"),
        ({"guided_json": {"$ref": "#"}}, "no text can match"),
        ({"guided_json": False}, "not"),
        ({"guided_json": {"type": "integer", "minimum": 5, "maximum": 3}}, "Unsatisfiable"),
        ({"guided_json": {"oneOf": [{"type": "string"}, {"type": "string"}]}}, "oneOf"),
        ({"guided_json": {"type": "object", "properties": {f"p{i}": {} for i in range(600)}}}, "max is 2000"),
        ({"guided_regex": "("}, "unclosed group"),
        ({"guided_regex": "(?=a)b"}, "look-ahead"),
        ({"guided_grammar": "nonsense"}, "GBNF"),
        ({"guided_grammar": "root ::= " + '("a" ' * 900}, "recursion"),
        ({"guided_grammar": "start: nothing"}, "nothing"),
        ({"guided_grammar": '{"grammars": [{"json_schema": {}}],\n"x": "\nstart: x"}'}, "lexer error"),
    ],
)
def test_what_cannot_be_compiled_says_why(fields: dict[str, Any], words: str) -> None:
    grammar, reason = compiled(source(**fields))
    assert grammar == ""
    assert words in reason
