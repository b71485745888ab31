"""Chat templates in the idioms of the big families render as transformers renders them: same text, same tokens."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert, structs
from transformers import PreTrainedTokenizerFast

from frontend.chat_messages import Turn
from frontend.chat_prompt import RenderedChat, chat_prompt
from frontend.load_text_models import load_text_models
from frontend.schema_chat import ChatRequest
from frontend.text_model import TextModel
from ipc.config import FrontendConfig
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from tests.support.small_tokenizers import byte_level

pytestmark = pytest.mark.parity

FOLDER = Path(__file__).with_name("chat_templates")
TEXTS = {file.stem: file.read_text() for file in FOLDER.glob("*.jinja")}
FAMILIES = sorted({name for name in TEXTS if not name.startswith("command")} - {"parts"} | {"command"})

USER: Turn = {"role": "user", "content": " What is the capital of France? "}
SYSTEM: Turn = {"role": "system", "content": "Be brief."}
ANSWER: Turn = {"role": "assistant", "content": "Paris. ", "reasoning_content": "\nEasy.\n"}
CALL: Turn = {"id": "abcdef123", "type": "function", "function": {"name": "f", "arguments": {"x": 1, "s": "ü<b>"}}}
CALLING: Turn = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT: Turn = {"role": "tool", "content": "42", "tool_call_id": "abcdef123"}
CONVERSATIONS: dict[str, list[Turn]] = {
    "one": [USER],
    "system": [SYSTEM, USER],
    "turns": [SYSTEM, USER, ANSWER, USER],
    "think": [USER, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes."}, USER],
    "tools": [USER, CALLING, RESULT],
    "many": [SYSTEM, USER, CALLING, RESULT, ANSWER, USER],
    "wrong": [ANSWER, ANSWER, RESULT],
    "last": [USER, ANSWER],
}
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "Counts <things>.",
        "parameters": {
            "type": "object",
            "properties": {
                "x": {"type": "integer"},
                "s": {"type": "string", "enum": ["ü", "b"]},
                "l": {"type": "array", "items": {"type": "number"}},
                "n": {"type": ["string", "null"]},
            },
            "required": ["x"],
        },
    },
}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tools": {"tools": [TOOL, TOOL]},
    "documents": {"documents": [{"title": "t", "text": "Paris."}, {"title": "u", "text": "Rome."}]},
    "no_thinking": {"variables": {"enable_thinking": False, "thinking": False, "reasoning_effort": "low"}},
    "thinking": {"variables": {"enable_thinking": True, "thinking": True, "controls": {"length": "short"}}},
    "variables": {"variables": {"date_string": "1 May", "bos_token": "!"}},
    "no_prompt": {"add_generation_prompt": False},
    "continues": {"continue_final_message": True},
}


def saved_tokenizer(family: str, folder: Path) -> PreTrainedTokenizerFast:
    """As checkpoints have it, with the family's template or templates."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level(), bos_token="<s>", eos_token="</s>")
    if family == "command":
        tokenizer.chat_template = {"default": TEXTS["command_default"], "tool_use": TEXTS["command_tool_use"]}
    else:
        tokenizer.chat_template = TEXTS[family]
    tokenizer.save_pretrained(folder)
    loaded = PreTrainedTokenizerFast.from_pretrained(folder)
    assert isinstance(loaded, PreTrainedTokenizerFast)
    return loaded


def served(folder: Path, **fields: Any) -> TextModel:
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
    card = structs.replace(fake_card(0, "m", "fake:generate", 0, 4096, 0), path=str(folder))
    return load_text_models([card], config).models[0]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, TextModel]:
    folder = tmp_path_factory.mktemp(request.param)
    return saved_tokenizer(request.param, folder), served(folder)


def ours(model: TextModel, messages: list[dict[str, Any]], settings: dict[str, Any]) -> RenderedChat:
    fields = {key: value for key, value in settings.items() if key != "variables"}
    kwargs = {"chat_template_kwargs": settings["variables"]} if "variables" in settings else {}
    request = convert({"messages": messages} | fields | kwargs, ChatRequest)
    return asyncio.run(chat_prompt(request, model, False, 0))


def theirs(tokenizer: Any, messages: list[dict[str, Any]], settings: dict[str, Any], tokenize: bool) -> Any:
    fields = {key: value for key, value in settings.items() if key != "variables"} | settings.get("variables", {})
    fields.setdefault("add_generation_prompt", not fields.get("continue_final_message"))
    return tokenizer.apply_chat_template(messages, tokenize=tokenize, return_dict=False, **fields)


@pytest.mark.parametrize("setting", SETTINGS)
def test_text_and_tokens_are_transformers(family: tuple[Any, TextModel], setting: str) -> None:
    tokenizer, model = family
    compared = 0
    for messages in CONVERSATIONS.values():
        try:
            text = theirs(tokenizer, messages, SETTINGS[setting], tokenize=False)
        except Exception as error:  # noqa: BLE001 - what it refuses, we must refuse
            if isinstance(error, TypeError) and "concatenate" in str(error):
                continue  # arguments as text, tested below
            with pytest.raises(RequestError):
                ours(model, messages, SETTINGS[setting])
            continue
        rendered = ours(model, messages, SETTINGS[setting])
        assert rendered.text == text
        assert rendered.token_ids == theirs(tokenizer, messages, SETTINGS[setting], tokenize=True)
        compared += 1
    assert compared >= 1


def test_content_in_parts(tmp_path: Path) -> None:
    """Templates that take parts get them, and a text becomes one part where they take nothing else."""
    parts = [{"type": "text", "text": "What "}, {"type": "text", "text": "now?"}]
    for name, other in itertools.product(("gemma", "glm", "parts"), (SYSTEM, ANSWER)):
        folder = tmp_path / f"{name}-{other['role']}"
        tokenizer, model = saved_tokenizer(name, folder), served(folder)
        messages = [{"role": "user", "content": parts}, {"role": other["role"], "content": other["content"]}]
        messages = messages[::-1] if other is SYSTEM else messages
        wrapped = [
            turn
            if isinstance(turn["content"], list)
            else turn | {"content": [{"type": "text", "text": turn["content"]}]}
            for turn in messages
        ]
        assert ours(model, messages, {}).text == theirs(tokenizer, wrapped, {}, tokenize=False)


def test_arguments_as_text_where_the_template_joins_them(tmp_path: Path) -> None:
    tokenizer, model = saved_tokenizer("deepseek", tmp_path), served(tmp_path)
    function = {"name": "f", "arguments": '{"x":1,"s":"ü<b>"}'}
    written = [USER, CALLING | {"tool_calls": [CALL | {"function": function}]}, RESULT]
    assert ours(model, CONVERSATIONS["tools"], {}).text == theirs(tokenizer, written, {}, tokenize=False)


@pytest.mark.parametrize(
    ("name", "settings", "calls", "opens"),
    [
        ("llama3", "plain", "llama3_json", False),
        ("qwen3", "plain", "hermes", False),
        ("deepseek", "thinking", None, True),
        ("glm", "no_thinking", "glm", False),
        ("granite", "plain", "granite", False),
        ("mistral", "plain", "mistral", False),
        ("gpt_oss", "plain", "harmony", False),
        ("phi", "plain", None, False),
    ],
)
def test_what_the_templates_tell(tmp_path: Path, name: str, settings: str, calls: str | None, opens: bool) -> None:
    saved_tokenizer(name, tmp_path)
    model = served(tmp_path)
    assert (model.tool_call_format and model.tool_call_format.name) == calls
    assert ours(model, [USER], SETTINGS[settings]).opens_reasoning == opens


def test_one_of_the_models_own_templates_by_name(tmp_path: Path) -> None:
    tokenizer = saved_tokenizer("command", tmp_path)
    model = served(tmp_path, chat_template="tool_use")
    text = tokenizer.apply_chat_template(
        [USER], tools=[TOOL], chat_template="tool_use", tokenize=False, add_generation_prompt=True
    )
    assert ours(model, [USER], {"tools": [TOOL]}).text == text
