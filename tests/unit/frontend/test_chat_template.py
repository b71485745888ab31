"""Which template is taken, what it is filled in with, and what happens when it refuses."""

from typing import Any

import pytest
from jinja2 import TemplateError
from msgspec import convert

from frontend.chat_template import ChatTemplate, Filling, Rendering
from frontend.schema_chat import Message, Tool
from ipc.errors import RequestError

HELLO = [Message("user", "hi")]
TOOL = convert({"type": "function", "function": {"name": "f"}}, Tool)


class Seen:
    """Renders nothing and keeps what it was given; raises `errors`, one a time, first."""

    def __init__(self, *errors: Exception) -> None:
        self.fillings: list[Filling] = []
        self._errors = list(errors)

    def __call__(self, filling: Filling) -> str:
        self.fillings.append(filling)
        if self._errors:
            raise self._errors.pop(0)
        return filling.source


def template(render: Seen, **sources: str) -> ChatTemplate:
    return ChatTemplate(sources or {"default": "d"}, render, {"bos_token": "<s>", "eos_token": "</s>"}, "string")


def test_what_a_template_is_filled_in_with() -> None:
    seen = Seen()
    rendering = Rendering(tools=[TOOL], documents=[{"text": "t"}], variables={"thinking": True, "eos_token": "!"})
    template(seen).prompt(HELLO, rendering)
    (filling,) = seen.fillings
    assert filling.messages == [{"role": "user", "content": "hi"}]
    assert filling.tools == [{"type": "function", "function": {"name": "f"}}]
    assert filling.documents == [{"text": "t"}]
    assert filling.variables == {"bos_token": "<s>", "eos_token": "!", "thinking": True}
    assert (filling.add_generation_prompt, filling.continue_final_message) == (True, False)


def test_the_template_for_tools() -> None:
    seen = Seen()
    both = template(seen, default="d", tool_use="t")
    assert both.prompt(HELLO, Rendering()) == "d"
    assert both.prompt(HELLO, Rendering(tools=[TOOL])) == "t"
    assert template(seen, default="d").prompt(HELLO, Rendering(tools=[TOOL])) == "d"
    assert both.text == "d\nt"


def test_several_templates_without_a_default() -> None:
    with pytest.raises(RequestError, match="none is the default: rag, tool_use"):
        template(Seen(), rag="r", tool_use="t").prompt(HELLO, Rendering())


@pytest.mark.parametrize(
    "error",
    [
        TemplateError("roles must alternate"),
        ZeroDivisionError("division by zero"),
        OverflowError("too big"),
        RecursionError("deep"),
        TypeError("no text"),
    ],
)
def test_a_template_that_fails(error: Exception) -> None:
    with pytest.raises(RequestError, match=str(error)) as caught:
        template(Seen(error)).prompt(HELLO, Rendering())
    assert caught.value.param == "messages"


def test_arguments_as_text_for_templates_that_need_them_so() -> None:
    call = {"function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = convert([{"role": "assistant", "tool_calls": [call]}], list[Message])
    seen = Seen(TypeError("can only concatenate str"))
    template(seen).prompt(messages, Rendering())
    given: list[Any] = [filling.messages[0]["tool_calls"][0]["function"]["arguments"] for filling in seen.fillings]
    assert given == [{"x": 1}, '{"x":1}']
    with pytest.raises(RequestError, match="the first"):
        template(Seen(TypeError("the first"), TypeError("the second"))).prompt(messages, Rendering())
