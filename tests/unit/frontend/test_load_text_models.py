"""Templates and parsers as the command line says."""

from pathlib import Path
from typing import Any

import pytest

from frontend.chat_template import ChatTemplate, Rendering
from frontend.load_text_models import load_text_models
from frontend.schema_chat import Message
from frontend.text_model import TextModel
from ipc.config import FrontendConfig
from ipc.errors import RequestError, StartupError
from ipc.fake_card import fake_card

PLUGIN = """
from frontend.reasoning.think import tagged
from frontend.tool_calls.format import ToolCallFormat
from frontend.text_parser import PlainParser

MINE = ToolCallFormat("mine", make=lambda tools: PlainParser(), marks=(("<tool_call>",),))
THOUGHTS = tagged("thoughts", "<t>", "</t>", ())
"""


def loaded(**fields: Any) -> TextModel:
    config = FrontendConfig(
        frontend_id=0,
        epoch=1,
        metrics_slot=0,
        scheduler_address="",
        runtime_dir="",
        max_body_bytes=1024,
        shutdown_timeout_s=1.0,
        **fields,
    )
    return load_text_models([fake_card(0, "m", "fake:generate", 0, 16, 0)], config).models[0]


def template_of(model: TextModel) -> ChatTemplate:
    assert model.chat_template is not None
    return model.chat_template


def test_the_fake_model() -> None:
    model = loaded()
    template = template_of(model)
    assert template.prompt([Message("user", "hi")], Rendering()) == "<|user|>hi\n<|assistant|>"
    assert template.prompt([Message("user", "hi")], Rendering(add_generation_prompt=False)) == "<|user|>hi\n"
    assert model.tool_call_format is not None
    assert (model.tool_call_format.name, model.reasoning_format) == ("hermes", None)
    assert model.excludes_tools


def test_the_fake_model_continues_a_message() -> None:
    rendering = Rendering(add_generation_prompt=False, continue_final_message=True)
    messages = [Message("user", "hi"), Message("assistant", "well, ")]
    assert template_of(loaded()).prompt(messages, rendering) == "<|user|>hi\n<|assistant|>well, "


def test_a_given_template_can_refuse(tmp_path: Path) -> None:
    file = tmp_path / "given.jinja"
    file.write_text("{{ raise_exception('no ' ~ messages[0].role) }}")
    with pytest.raises(RequestError, match="no user"):
        template_of(loaded(chat_template=str(file))).prompt([Message("user", "x")], Rendering())


def test_a_template_in_one_line() -> None:
    template = template_of(loaded(chat_template="{{ messages[0].content }} </think>"))
    assert template.prompt([Message("user", "x")], Rendering()) == "x </think>"


@pytest.mark.parametrize("broken", ["{% if %}", "{{ x | no_such_filter }}", "{% for m in messages %}"])
def test_a_broken_given_template_ends_the_start(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "given.jinja"
    file.write_text("ok\n" + broken)
    with pytest.raises(StartupError, match=r"given\.jinja is broken in line 2: ") as caught:
        loaded(chat_template=str(file))
    assert "--chat-template" in caught.value.advice


@pytest.mark.parametrize(
    ("template", "calls", "reasoning"),
    [
        ("", "hermes", None),
        ("<tool_call> <think></think>", "hermes", "think"),
        ("<tool_call><function= <parameter=", "qwen3_coder", None),
        ("<tool_call> <arg_key> <arg_value> </think>", "glm", "think"),
        ("[TOOL_CALLS] [THINK] [/THINK]", "mistral", "mistral"),
        ("<|tool_call|> Here is my thought process:", "granite", "granite"),
        ("<|python_tag|>", "llama3_json", None),
        ("<|python_start|>", "pythonic", None),
        ("<\uff5ctool\u2581calls\u2581begin\uff5c> </think>", "deepseek", "think"),
        ("<|start|><|channel|>analysis<|message|>", "harmony", "harmony"),
        ("nothing", None, None),
    ],
)
def test_forms_are_read_from_the_template(template: str, calls: str | None, reasoning: str | None) -> None:
    model = loaded(chat_template=template and "{{ 1 }}" + template)
    names = [form and form.name for form in (model.tool_call_format, model.reasoning_format)]
    assert names == [calls, reasoning]


def test_forms_by_name_ours_and_vllms() -> None:
    model = loaded(tool_call_parser="deepseek_v31", reasoning_parser="deepseek_r1")
    assert model.tool_call_format is not None
    assert model.reasoning_format is not None
    assert (model.tool_call_format.name, model.reasoning_format.always_opens) == ("deepseek", True)
    model = loaded(tool_call_parser="none", reasoning_parser="none")
    assert (model.tool_call_format, model.reasoning_format) == (None, None)


@pytest.mark.parametrize("flag", ["tool_call_parser", "reasoning_parser"])
def test_an_unknown_name_ends_the_start(flag: str) -> None:
    with pytest.raises(StartupError, match="there is no parser 'nobody'") as caught:
        loaded(**{flag: "nobody"})
    assert "auto, none" in caught.value.advice


def test_a_plugin_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    model = loaded(tool_parser_plugin=str(file), reasoning_parser="thoughts")
    names = [form and form.name for form in (model.tool_call_format, model.reasoning_format)]
    assert names == ["mine", "thoughts"]


def test_an_installed_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_parsers.py").write_text(PLUGIN)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[zerolane.tool_call_parsers]\ntheirs = their_parsers:MINE\nlost = their_parsers:GONE\n"
        "[zerolane.reasoning_parsers]\ntheirs = their_parsers:THOUGHTS\nwrong = their_parsers:MINE\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = loaded(tool_call_parser="theirs", reasoning_parser="theirs")
    names = [form and form.name for form in (model.tool_call_format, model.reasoning_format)]
    assert names == ["mine", "thoughts"]
    with pytest.raises(StartupError, match=r"lost of their_parsers:GONE cannot be loaded"):
        loaded(tool_call_parser="lost")
    with pytest.raises(StartupError, match="is no ReasoningFormat"):
        loaded(reasoning_parser="wrong")


@pytest.mark.parametrize("text", ["raise RuntimeError('oh')", "1 +"])
def test_a_broken_plugin_ends_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(StartupError, match=r"mine\.py cannot be loaded"):
        loaded(tool_parser_plugin=str(file))


def test_a_name_that_no_template_has_ends_the_start() -> None:
    with pytest.raises(StartupError, match=r"'tool_use' is no file, and no chat template of m \(it has default\)"):
        loaded(chat_template="tool_use")
    template = template_of(loaded(chat_template="default"))
    assert template.prompt([Message("user", "hi")], Rendering()) == "<|user|>hi\n<|assistant|>"


def test_a_missing_template_ends_the_start() -> None:
    with pytest.raises(StartupError, match="cannot be read"):
        loaded(chat_template="/nowhere/x.jinja")


def test_tools_may_stay_in_the_prompt() -> None:
    assert not loaded(exclude_tools_when_tool_choice_none=False).excludes_tools
