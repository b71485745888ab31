"""Reads the tokenizers and chat templates of all served models."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from frontend.answer_formats import KnownFormats, known_formats, reasoning_format, tool_call_format
from frontend.byte_tokenizer import BYTE_CHAT_TEMPLATE, ByteTokenizer
from frontend.chat_template import (
    DEFAULT,
    TOOL_USE,
    ChatTemplate,
    Filling,
    Render,
    check,
    content_form_of,
    render,
)
from frontend.score_activation import model_activation
from frontend.text_model import TextModel, TextModels
from frontend.tokenize import CheckpointTokenizer
from ipc.config import ContentFormat, FrontendConfig
from ipc.errors import StartupError
from ipc.model_card import ModelCard

log = logging.getLogger("zerolane.frontend.load_text_models")


class Given(NamedTuple):
    """What --chat-template means: a template, or the name of one of the models' own."""

    text: str
    is_name: bool


def load_text_models(cards: Sequence[ModelCard], config: FrontendConfig) -> TextModels:
    """As the flags on templates and parsers say. Takes seconds, so it is called in a thread. Raises StartupError."""
    known = known_formats(config.tool_parser_plugin)
    given = _given_template(config.chat_template)
    try:
        return TextModels([_load(card, given, config, known) for card in cards])
    except TemplateSyntaxError as error:
        message = f"The chat template {config.chat_template} is broken in line {error.lineno}: {error.message}"
        raise StartupError(message, "See --chat-template.") from error


def _load(card: ModelCard, given: Given | None, config: FrontendConfig, known: KnownFormats) -> TextModel:
    """Raises StartupError, and jinja2's TemplateSyntaxError for a given template that cannot be compiled."""
    if card.is_fake:
        source = _chosen(card, {DEFAULT: BYTE_CHAT_TEMPLATE}, given)[DEFAULT]
        plain = ChatTemplate({DEFAULT: source}, _plain_render(source), form="string")
        model = TextModel(card, ByteTokenizer(), plain, score_activation=model_activation(card))
        return _with_formats(model, config, known)
    # 1.2 s of import, needed only for checkpoints: the port is open long before
    from transformers import AutoTokenizer

    try:
        loaded: Any = AutoTokenizer.from_pretrained(
            card.path, local_files_only=True, trust_remote_code=card.trust_remote_code
        )
    except Exception as error:
        raise StartupError(f"The tokenizer of {card.name} cannot be loaded: {error}") from error
    if not getattr(loaded, "is_fast", False):
        raise StartupError(
            f"The tokenizer of {card.name} is a {type(loaded).__name__}, which the tokenizers library cannot run.",
            "Save it with a tokenizer.json and serve that folder.",
        )
    tokenizer = CheckpointTokenizer(loaded.backend_tokenizer, "token_type_ids" in loaded.model_input_names)
    template = _chat_template(card, loaded, given, config.chat_template_content_format)
    model = TextModel(card, tokenizer, template, score_activation=model_activation(card))
    return _with_formats(model, config, known)


def _with_formats(model: TextModel, config: FrontendConfig, known: KnownFormats) -> TextModel:
    """Adds the forms of a generate model's answers."""
    if model.card.task != "generate" or model.chat_template is None:
        return model
    text = model.chat_template.text
    calls = tool_call_format(known, config.tool_call_parser, text)
    reasoning = reasoning_format(known, config.reasoning_parser, text)
    names = {"tool_calls": calls.name if calls else None, "reasoning": reasoning.name if reasoning else None}
    log.info("forms of the answers", extra={"fields": {"model": model.card.name} | names})
    return replace(
        model,
        tool_call_format=calls,
        reasoning_format=reasoning,
        excludes_tools=config.exclude_tools_when_tool_choice_none,
    )


def _chat_template(card: ModelCard, loaded: Any, given: Given | None, form: ContentFormat) -> ChatTemplate | None:
    """`loaded` is transformers' tokenizer: it knows the special tokens that templates name."""
    own = loaded.chat_template or {}
    named = {DEFAULT: own} if isinstance(own, str) else dict(own)
    sources = _chosen(card, named, given)
    if not sources:
        return None
    if given:
        check(sources[DEFAULT])
    for name, source in sources.items():
        _log_form(card, name, source, form)
    return ChatTemplate(sources, render, loaded.special_tokens_map, form)


def _chosen(card: ModelCard, named: dict[str, str], given: Given | None) -> dict[str, str]:
    """The templates to use of a model that has those in `named`. Raises StartupError for a name it does not have."""
    if given is None:
        return {name: source for name, source in named.items() if name in (DEFAULT, TOOL_USE)} or named
    if not given.is_name:
        return {DEFAULT: given.text}
    if given.text not in named:
        has = f"it has {', '.join(sorted(named)) or 'none'}"
        raise StartupError(f"--chat-template {given.text!r} is no file, and no chat template of {card.name} ({has}).")
    return {DEFAULT: named[given.text]}


def _log_form(card: ModelCard, name: str, source: str, form: ContentFormat) -> None:
    fields: dict[str, Any] = {"model": card.name, "template": name}
    try:
        detected = content_form_of(source, form)
    except TemplateSyntaxError as error:
        fields |= {"line": error.lineno, "error": error.message}
        log.warning("the model's own chat template is broken; see --chat-template", extra={"fields": fields})
        return
    fields["form"] = detected.value
    log.info("the chat template takes the content of messages in this form", extra={"fields": fields})


def _plain_render(source: str) -> Render:
    """For the fake model: as transformers', without the second its import takes. Raises TemplateSyntaxError."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise_exception
    compiled = environment.from_string(source)

    def render_plainly(filling: Filling) -> str:
        if filling.continue_final_message:
            return render(filling)
        return compiled.render(
            messages=filling.messages,
            tools=filling.tools,
            documents=filling.documents,
            add_generation_prompt=filling.add_generation_prompt,
            **filling.variables,
        )

    return render_plainly


def _raise_exception(message: str) -> NoReturn:
    """How a template refuses a conversation."""
    raise TemplateError(message)


def _given_template(given: str) -> Given | None:
    """What --chat-template says: a file, a template, or a name. Raises StartupError."""
    if not given:
        return None
    path = Path(given)
    if "{" in given or not ("/" in given or "." in given or path.is_file()):
        return Given(given, is_name="{" not in given)
    try:
        return Given(path.read_text(encoding="utf-8"), is_name=False)
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"The chat template {given} cannot be read: {error}", "See --chat-template.") from error
