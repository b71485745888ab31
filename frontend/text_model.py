"""One served model as the frontend knows it: its card, tokenizer, chat template and the forms of its answers; and the
table of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.chat_template import ChatTemplate
from frontend.reasoning.format import ReasoningFormat
from frontend.tokenize import Tokenizer
from frontend.tool_calls.format import ToolCallFormat
from ipc.errors import ErrorCode, RequestError
from ipc.model_card import LabelActivation, ModelCard, Task

MAX_SHOWN_NAME = 128


@dataclass(frozen=True)
class TextModel:
    """Made once per model; never changes."""

    card: ModelCard
    tokenizer: Tokenizer
    chat_template: ChatTemplate | None  # None: the model has none, chat requests are refused
    tool_call_format: ToolCallFormat | None = None  # None: calls are not looked for in its answers
    reasoning_format: ReasoningFormat | None = None  # None: nor is thinking
    excludes_tools: bool = True  # the prompt names no tools where a request's `tool_choice` is "none"
    score_activation: LabelActivation = "sigmoid"  # what a score request gets that asks for none


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
