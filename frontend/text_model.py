"""One served model as the frontend knows it: its card, tokenizer and chat template; and the table of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, TemplateSyntaxError

from frontend.byte_tokenizer import BYTE_CHAT_TEMPLATE, ByteTokenizer
from frontend.chat_template import ChatTemplate, Render
from frontend.tokenize import CheckpointTokenizer, Tokenizer
from ipc.errors import ErrorCode, RequestError, StartupError
from ipc.model_card import ModelCard, Task

MAX_SHOWN_NAME = 128


@dataclass(frozen=True)
class TextModel:
    """Made once per model; never changes."""

    card: ModelCard
    tokenizer: Tokenizer
    chat_template: ChatTemplate | None  # None: the model has none, chat requests are refused


class TextModels:
    """All served models, in the order the operator named them."""

    def __init__(self, models: Sequence[TextModel]) -> None:
        self.models = tuple(models)
        self._by_name = {model.card.name: model for model in models}

    def named(self, name: str) -> TextModel:
        """Raises RequestError MODEL_NOT_FOUND."""
        model = self._by_name.get(name)
        if model is None:
            shown = name if len(name) <= MAX_SHOWN_NAME else name[:MAX_SHOWN_NAME] + "..."
            raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"The model '{shown}' does not exist.", "model")
        return model

    def pick(self, name: str | None, task: Task, endpoint: str) -> TextModel:
        """The model a request means: by name, or the first of the endpoint's task. Raises RequestError."""
        if name:
            model = self.named(name)
            if model.card.task != task:
                message = f"The model '{name}' is a {model.card.task} model and cannot serve {endpoint}."
                raise RequestError(ErrorCode.INVALID_REQUEST, message, "model")
            return model
        for model in self.models:
            if model.card.task == task:
                return model
        raise RequestError(ErrorCode.MODEL_NOT_FOUND, f"No served model can answer {endpoint}.", "model")


def load_text_models(cards: Sequence[ModelCard], template_path: str) -> TextModels:
    """Reads all tokenizers and templates; takes seconds, so it is called in a thread. Raises StartupError.

    `template_path`: a Jinja file that replaces the models' own templates, or "".
    """
    template = _read_template(template_path) if template_path else None
    try:
        return TextModels([_load(card, template) for card in cards])
    except TemplateSyntaxError as error:  # only a given template is compiled here
        message = f"The chat template {template_path} is broken in line {error.lineno}: {error.message}"
        raise StartupError(message, "See --chat-template.") from error


def _load(card: ModelCard, template: str | None) -> TextModel:
    """Raises StartupError, and jinja2's TemplateSyntaxError for a `template` that cannot be compiled."""
    if card.is_fake:
        source = template or BYTE_CHAT_TEMPLATE
        return TextModel(card, ByteTokenizer(), ChatTemplate(source, _plain_render(source)))
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
    return TextModel(card, tokenizer, _chat_template(loaded, template))


def _chat_template(loaded: Any, template: str | None) -> ChatTemplate | None:
    """`loaded` is transformers' tokenizer: it knows the special tokens that templates name."""
    if template is None and not loaded.chat_template:
        return None

    if template is not None:
        # transformers' own compiler, for it knows tags that plain Jinja does not; it keeps the result for `render`
        from transformers.utils.chat_template_utils import _compile_jinja_template

        _compile_jinja_template(template)

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, add_generation_prompt: bool) -> str:
        text: str = loaded.apply_chat_template(
            messages, tools, chat_template=template, add_generation_prompt=add_generation_prompt, tokenize=False
        )
        return text

    source = template or loaded.chat_template
    text = source if isinstance(source, str) else "\n".join(source.values())  # several, by name
    return ChatTemplate(text, render)


def _plain_render(source: str) -> Render:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment()
    environment.globals["raise_exception"] = _raise_exception
    compiled = environment.from_string(source)

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, add_generation_prompt: bool) -> str:
        return compiled.render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt)

    return render


def _raise_exception(message: str) -> NoReturn:
    """How a template refuses a conversation."""
    raise TemplateError(message)


def _read_template(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"The chat template {path} cannot be read: {error}", "See --chat-template.") from error
