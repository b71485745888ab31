"""A model's chat template: which of its texts a request needs, and its rendering by transformers in its sandbox."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError

from frontend.chat_messages import template_messages, template_tools, with_written_arguments
from frontend.content_form import ContentForm, content_form
from frontend.schema_chat import Message, Tool
from ipc.config import ContentFormat
from ipc.errors import ErrorCode, RequestError

DEFAULT, TOOL_USE = "default", "tool_use"  # names that transformers knows

# what a template can raise on a conversation it was not written for
FAILURES = (
    TemplateError,
    TypeError,
    ValueError,
    KeyError,
    AttributeError,
    IndexError,
    ArithmeticError,
    RecursionError,
)


@dataclass(frozen=True)
class Rendering:
    """What a template is filled in with, besides messages."""

    tools: Sequence[Tool] = ()
    documents: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Filling:
    """The same, as `transformers` takes it: plain data that can be sent to another process."""

    source: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    documents: list[dict[str, Any]] | None
    add_generation_prompt: bool
    continue_final_message: bool
    variables: dict[str, Any]  # special tokens of the tokenizer, and the request's own


Render = Callable[[Filling], str]


class ChatTemplate:
    """One model's templates, by name; most have one, "default". `special_tokens`: what templates call bos_token, ...
    `render` fills one in. `form`: how messages are given to it; "auto" reads that from the template."""

    def __init__(
        self,
        sources: Mapping[str, str],
        render: Render,
        special_tokens: Mapping[str, Any] | None = None,
        form: ContentFormat = "auto",
    ) -> None:
        self._sources = dict(sources)
        self._render = render
        self._special_tokens = dict(special_tokens or {})
        self._form = form

    @property
    def text(self) -> str:
        """All sources."""
        return "\n".join(self._sources.values())

    def source(self, has_tools: bool) -> str:
        """The template for a request, chosen as transformers does. Raises RequestError when none is the default."""
        name = TOOL_USE if has_tools and TOOL_USE in self._sources else DEFAULT
        if name not in self._sources:
            message = f"The model has several chat templates and none is the default: {', '.join(self._sources)}."
            raise RequestError(ErrorCode.INVALID_REQUEST, message, "messages")
        return self._sources[name]

    def prompt(self, messages: Sequence[Message], rendering: Rendering) -> str:
        """The prompt's text. Raises RequestError when the template refuses the conversation."""
        source = self.source(bool(rendering.tools))
        try:
            form = content_form_of(source, self._form)
        except FAILURES as error:
            raise refused(error) from error
        filling = self.filling(source, messages, rendering, form)
        try:
            return self._render(filling)
        except FAILURES as error:
            return self._rendered_again(filling, error)

    def filling(self, source: str, messages: Sequence[Message], rendering: Rendering, form: ContentForm) -> Filling:
        """Raises RequestError for content that cannot be given to a template."""
        return Filling(
            source=source,
            messages=template_messages(messages, form, knows_developer="developer" in source),
            tools=template_tools(rendering.tools),
            documents=rendering.documents,
            add_generation_prompt=rendering.add_generation_prompt,
            continue_final_message=rendering.continue_final_message,
            variables=self._special_tokens | dict(rendering.variables),
        )

    def _rendered_again(self, filling: Filling, error: Exception) -> str:
        """Some templates join the arguments of earlier calls to text: those need them as text."""
        if isinstance(error, TypeError) and any("tool_calls" in turn for turn in filling.messages):
            try:
                return self._render(replace(filling, messages=with_written_arguments(filling.messages)))
            except FAILURES:
                pass  # the first error says more
        raise refused(error) from error


def refused(error: Exception) -> RequestError:
    """What clients are told about a template's failure."""
    message = f"The model's chat template cannot render these messages: {str(error)[:1024]}"
    return RequestError(ErrorCode.INVALID_REQUEST, message, "messages")


def render(filling: Filling) -> str:
    """By transformers' own function. Raises one of FAILURES."""
    # 1 s of import, needed only for checkpoints: the port is open long before
    from transformers.utils.chat_template_utils import render_jinja_template

    render_all: Any = render_jinja_template  # its annotations are wrong: it returns two lists
    rendered, _ = render_all(
        conversations=[filling.messages],
        tools=filling.tools,
        documents=filling.documents,
        chat_template=filling.source,
        continue_final_message=filling.continue_final_message,
        add_generation_prompt=filling.add_generation_prompt,
        **filling.variables,
    )
    text: str = rendered[0]
    return text


@lru_cache(maxsize=64)
def content_form_of(source: str, option: ContentFormat) -> ContentForm:
    """Raises jinja2's TemplateSyntaxError."""
    if option == "string":
        return ContentForm.TEXT
    form = content_form(parse(source))
    return form if option == "auto" or form is ContentForm.EITHER else ContentForm.PARTS


def check(source: str) -> None:
    """Raises TemplateSyntaxError for a template that cannot be compiled. For templates of the operator's only."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    _compile_jinja_template(source)  # transformers keeps the result for `render`


def parse(source: str) -> Any:
    """The syntax tree. Nothing is compiled, for Jinja computes constants when it compiles, and a stranger's may never
    end. Raises TemplateSyntaxError."""
    # transformers' environment knows tags that plain Jinja does not
    from transformers.utils.chat_template_utils import _compile_jinja_template

    return _compile_jinja_template("").environment.parse(source)
