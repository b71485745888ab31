"""Each form of tool calls: what it is read as, however the text is divided."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from frontend.answer_formats import known_formats
from frontend.answer_parts import CallArguments, CallBegin
from frontend.schema_chat import Tool
from frontend.text_parser import TextParser
from tests.support.read_answer import Found, MakeParser, read, read_in_every_way

BAR, GAP = "\uff5c", "\u2581"
ARGUMENTS = '{"city": "Köln", "days": [1, {"x": "}]\\""}]}'


def deepseek(text: str) -> str:
    """With the special tokens' wide characters."""
    for name in ("tool_calls_begin", "tool_calls_end", "tool_call_begin", "tool_call_end", "tool_sep"):
        text = text.replace(f"<{name}>", f"<{BAR}{name.replace('_', GAP)}{BAR}>")
    return text


def tool(name: str, **properties: Any) -> Tool:
    """One on offer."""
    function = {"name": name, "parameters": {"type": "object", "properties": properties}}
    return convert({"type": "function", "function": function}, Tool)


TOOLS = [
    tool(
        "f",
        x={"type": "integer"},
        s={"type": "string"},
        b={"type": "boolean"},
        o={"type": "object"},
        n={"type": ["number", "null"]},
        any={},
        e={"enum": ["a", 1]},
        u={"anyOf": [{"type": "string"}, {"type": "array"}]},
    )
]


def parser_of(name: str) -> MakeParser:
    known = known_formats("").tool_calls[name]
    return lambda: known.make(TOOLS)


CASES: list[tuple[str, str, list[Found]]] = [
    # hermes
    ("hermes", f'<tool_call>\n{{"name": "f", "arguments": {ARGUMENTS}}}\n</tool_call>', [("f", ARGUMENTS)]),
    (
        "hermes",
        'I look.\n<tool_call>{"name": "f", "arguments": {}}</tool_call>\n<tool_call>{"name":"g"}</tool_call> Done.',
        ["I look.\n", ("f", "{}"), ("g", "{}"), "Done."],
    ),
    ("hermes", '<tool_call>{"arguments": {"a": 1}, "name": "f", "id": [1]}</tool_call>', [("f", '{"a": 1}')]),
    ("hermes", '<tool_call>{"name": "f", "parameters": null}</tool_call>', [("f", "{}")]),
    ("hermes", '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', [("f", '{"a": 1}')]),
    ("hermes", '<tool_call>{"name": "f", "arguments": {"a": 1}}}</tool_call>x', [("f", '{"a": 1}'), "x"]),
    ("hermes", '<tool_call>{"name": "f", "arguments": {"a": 1}</tool_call>', [("f", '{"a": 1}')]),
    (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {}}\n{"name": "g", "arguments": {}}</tool_call>',
        [("f", "{}"), ("g", "{}")],
    ),
    ("hermes", '<tool_call>{"name": "f", "arguments": {"a": "1\n2"}}</tool_call>', [("f", '{"a": "1\\n2"}')]),
    (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}</tool_call>',
        [("f", '{"a": "</tool_call>"}')],
    ),
    ("hermes", "<tool_call>not json</tool_call>", ["<tool_call>not json</tool_call>"]),
    ("hermes", '<tool_call>{"arguments": {}}</tool_call>', ['<tool_call>{"arguments": {}}</tool_call>']),
    ("hermes", "<tool_call>[1]</tool_call> tail", ["<tool_call>[1]</tool_call> tail"]),
    ("hermes", '<tool_call>{"name": "f", "argu', ['<tool_call>{"name": "f", "argu']),
    ("hermes", '<tool_call>{"name": 1}</tool_call>', ['<tool_call>{"name": 1}</tool_call>']),
    ("hermes", "a <b> <tool", ["a <b> <tool"]),
    ("hermes", '<tool_call>{"name": "f", "arguments": {"a": "b\\', [("f", '{"a": "b\\')]),
    ("hermes", "", []),
    # llama3_json
    ("llama3_json", '{"name": "f", "parameters": {"x": 1}}', [("f", '{"x": 1}')]),
    (
        "llama3_json",
        '<|python_tag|>{"type": "function", "name": "f", "parameters": {}}; {"name": "g", "arguments": {"a": "b"}}',
        [("f", "{}"), ("g", '{"a": "b"}')],
    ),
    ("llama3_json", 'Sure: <|python_tag|>{"name": "f", "parameters": {}};', ["Sure: ", ("f", "{}")]),
    ("llama3_json", ' {"name": "Ann", "age": 3} ', [' {"name": "Ann", "age": 3} ']),
    ("llama3_json", '<|python_tag|>brave.call("x")', ['<|python_tag|>brave.call("x")']),
    ("llama3_json", 'Hi {"name": "f", "parameters": {}}', ['Hi {"name": "f", "parameters": {}}']),
    # mistral
    (
        "mistral",
        '[TOOL_CALLS][{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]',
        [("f", '{"x": 1}'), ("g", "{}")],
    ),
    ("mistral", 'ok[TOOL_CALLS] f{"x": 1}[TOOL_CALLS]g[ARGS]{}', ["ok", ("f", '{"x": 1}'), ("g", "{}")]),
    ("mistral", '[TOOL_CALLS]f[CALL_ID]abcdef123[ARGS]{"x": 1}', [("f", '{"x": 1}')]),
    ("mistral", "[TOOL_CALLS][]", ["[TOOL_CALLS][]"]),
    ("mistral", "[TOOL_CALLS] none", ["[TOOL_CALLS] none"]),
    ("mistral", "[TOOL] [TOOL_CAL", ["[TOOL] [TOOL_CAL"]),
    # pythonic
    (
        "pythonic",
        '[f(x=-1, s="a\\")", l=[1.5, True, None, {"k": (1,)}]), a.g()]',
        [("f", '{"x": -1, "s": "a\\")", "l": [1.5, true, null, {"k": [1]}]}'), ("a.g", "{}")],
    ),
    ("pythonic", "<|python_start|>[f(s='it\\'s', b=false)]<|python_end|>", [("f", '{"s": "it\'s", "b": false}')]),
    ("pythonic", "[see](http://x)", ["[see](http://x)"]),
    ("pythonic", "[1, 2]", ["[1, 2]"]),
    ("pythonic", "[f(1)]", ["[f(1)]"]),
    ("pythonic", "[f(x=open('a'))]", ["[f(x=open('a'))]"]),
    ("pythonic", "[f(x=1), g(y=__import__('os'))]", [("f", '{"x": 1}'), ", g(y=__import__('os'))]"]),
    ("pythonic", "[f(x=1", ["[f(x=1"]),
    ("pythonic", "[f(**{})]", ["[f(**{})]"]),
    ("pythonic", r'[f(a="\ud800")]', [r'[f(a="\ud800")]']),  # half a character: no reply could carry it
    ("pythonic", "[f(x=1, x=2)]", ["[f(x=1, x=2)]"]),
    ("pythonic", r"[f(s='\d')]", [("f", r'{"s": "\\d"}')]),
    # qwen3_coder
    (
        "qwen3_coder",
        'Go.\n<tool_call>\n<function=f>\n<parameter=x>\n12\n</parameter>\n<parameter=s>\na\n"b"\n\n</parameter>\n'
        "</function>\n</tool_call>",
        ["Go.\n", ("f", '{"x": 12, "s": "a\\n\\"b\\"\\n"}')],
    ),
    (
        "qwen3_coder",
        '<tool_call><function=f><parameter=b>True</parameter><parameter=o>{"a": [1]}</parameter>'
        "<parameter=n>None</parameter><parameter=any>1.5</parameter><parameter=e>1</parameter>"
        "<parameter=u>[x</parameter><parameter=new>1</parameter></function></tool_call>",
        [("f", '{"b": true, "o": {"a": [1]}, "n": null, "any": 1.5, "e": 1, "u": "[x", "new": "1"}')],
    ),
    ("qwen3_coder", "<function=g>\n</function>", [("g", "{}")]),
    (
        "qwen3_coder",
        "<tool_call>\n<function=f>\n<parameter=s>\na\n<parameter=x>\nno number\n</function>\n</tool_call>\n\nyes",
        [("f", '{"s": "a", "x": "no number"}'), "yes"],
    ),
    ("qwen3_coder", "<tool_call>\n<function=f>\n<parameter=s>\nab", [("f", '{"s": "ab')]),
    ("qwen3_coder", '<tool_call>{"name": "f"}</tool_call>', ['<tool_call>{"name": "f"}</tool_call>']),
    # glm
    (
        "glm",
        "<tool_call>f\n<arg_key>x</arg_key>\n<arg_value>12</arg_value>\n<arg_key>s</arg_key>\n<arg_value>a\nb</arg_value>\n"
        "</tool_call>\n<tool_call>g</tool_call>",
        [("f", '{"x": 12, "s": "a\\nb"}'), ("g", "{}")],
    ),
    ("glm", "x<tool_call>f<arg_key>s</arg_key><arg_value>a", ["x", ("f", '{"s": "a')]),
    ("glm", "<tool_call>no call</tool_call>", ["<tool_call>no call</tool_call>"]),
    # granite
    (
        "granite",
        '<|tool_call|>[{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]',
        [("f", '{"x": 1}'), ("g", "{}")],
    ),
    ("granite", 'a <tool_call>{"name": "f", "arguments": {}}</tool_call>b', ["a ", ("f", "{}"), "b"]),
    ("granite", '[{"name": "f", "arguments": {}}]', [("f", "{}")]),
    ("granite", "[1, 2]", ["[1, 2]"]),
    ("granite", '<|tool_call|>[{"name": "f", "arguments": {}}]<|/tool_call|>', [("f", "{}")]),
    ("granite", '<|tool_call|>[{"name": "f", "arguments": {}}, 5]', [("f", "{}"), "5]"]),
    # deepseek
    (
        "deepseek",
        deepseek(
            "Hm.<tool_calls_begin><tool_call_begin>function<tool_sep>f\n```json\n"
            '{"x": "```"}\n```<tool_call_end>\n<tool_call_begin>function<tool_sep>g\n```json\n{}\n```<tool_call_end>'
            "<tool_calls_end>"
        ),
        ["Hm.", ("f", '{"x": "```"}'), ("g", "{}")],
    ),
    (
        "deepseek",
        deepseek(
            '<tool_calls_begin><tool_call_begin>f<tool_sep>{"x": 1}<tool_call_end>'
            "<tool_call_begin>g<tool_sep>{}<tool_call_end><tool_calls_end>"
        ),
        [("f", '{"x": 1}'), ("g", "{}")],
    ),
    ("deepseek", deepseek("<tool_calls_begin>no"), [deepseek("<tool_calls_begin>no")]),
    ("deepseek", deepseek("<tool_call_begin>f"), [deepseek("<tool_call_begin>f")]),
]


@pytest.mark.parametrize(("name", "text", "found"), CASES)
def test_every_division_gives_this(name: str, text: str, found: list[Found]) -> None:
    assert read_in_every_way(parser_of(name), text) == found


CUTS = sorted({piece for _, text, _ in CASES for piece in (text, text[: len(text) // 2], text[-5:])})
TAGS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<function=", "</function>", "<parameter=", "</parameter>"]
PIECES = [*CUTS, *TAGS, "<|python_tag|>", *'\n {}[]"\\<>,;()=']


@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=5), data=st.data())
def test_any_text_reads_the_same_however_divided(name: str, pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    make = parser_of(name)
    assert read(make, deltas) == read(make, [text]) == read(make, text)


def test_arguments_go_out_as_they_come() -> None:
    parser = parser_of("hermes")()
    assert parser.push('<tool_call>{"name": "f", "arg') == []
    begin, arguments = parser.push('uments": {"text": "long')
    assert isinstance(begin, CallBegin)
    assert arguments == CallArguments(0, '{"text": "long')
    assert parser.push("er") == [CallArguments(0, "er")]
    assert parser.push('"}}</tool_call>') == [CallArguments(0, '"}')]


def test_text_parameters_stream_and_half_tags_are_held_back() -> None:
    parser = parser_of("qwen3_coder")()
    parser.push("<tool_call>\n<function=f>\n<parameter=s>\n")
    assert parser.push("one\n</param") == [CallArguments(0, "one")]
    assert parser.push("s>\n") == [CallArguments(0, "\\n</params>")]
    assert parser.push("</parameter>") == [CallArguments(0, '"')]


def test_mistrals_ids_are_those_its_template_takes() -> None:
    first = parser_of("mistral")().push("[TOOL_CALLS]f[ARGS]{}")[0]
    given_id = parser_of("mistral")().push("[TOOL_CALLS]f[CALL_ID]abcdef123[ARGS]{}")[0]
    assert isinstance(first, CallBegin)
    assert len(first.id) == 9
    assert first.id.isalnum()
    assert isinstance(given_id, CallBegin)
    assert given_id.id == "abcdef123"


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
@pytest.mark.parametrize(
    "text",
    [
        "<" * 200_000,
        " " * 200_000,
        "\n" * 200_000,
        "<tool_call>" * 20_000,
        '<tool_call>{"name": "f", "arguments": ' + "[" * 100_000,
        '<tool_call>{"name": "f", "other": ' + '{"a":' * 40_000,
        '{"name": "f", "parameters": {"a": "' + "\\" * 200_000,
        "[TOOL_CALLS]" + "[" * 100_000,
        "[f(x=" + "[" * 100_000,
        "[f(x='" + "\\" * 200_000,
        "<tool_call><function=f><parameter=s>" + "\n" * 200_000,
        "<tool_call><function=f><parameter=x>" + "1" * 200_000 + "</parameter>",
        "<tool_call>f<arg_key>" + "<" * 200_000,
        f"<{BAR}tool{GAP}call{GAP}begin{BAR}>" + "x" * 200_000,
    ],
    ids=range(14),
)
def test_hostile_texts_cost_linear_time(name: str, text: str) -> None:
    """Nothing is gone through again: what is held back stays short."""
    parser = parser_of(name)()
    assert isinstance(parser, TextParser)
    began = time.process_time()
    for at in range(0, len(text), 997):
        parser.push(text[at : at + 997])
        assert parser.num_held <= 64
    parser.finish()
    assert parser.num_held == 0
    read(parser_of(name), [text])
    assert time.process_time() - began < 5  # seconds; a hundredth of that where it is linear


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_finished_arguments_are_valid_json(value: Any) -> None:
    arguments = {"x": value}
    text = f'<tool_call>{{"name": "f", "arguments": {json.dumps(arguments)}}}</tool_call>'
    (call,) = read(parser_of("hermes"), [text[:30], text[30:]])
    assert call[0] == "f"
    assert json.loads(call[1]) == arguments
