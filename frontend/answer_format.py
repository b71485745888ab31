"""How the text of an answer is taken apart: which parsers its choices need, and what they need to see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from frontend.answer_parser import AnswerParser
from frontend.answer_parts import OutputParser
from frontend.chat_prompt import RenderedChat
from frontend.forced_calls import ForcedCalls, forced_calls, offered_tools
from frontend.reasoning.format import PLAIN, ReasoningFormat
from frontend.schema_chat import ChatRequest, Tool
from frontend.text_model import TextModel
from frontend.text_parser import PlainParser
from frontend.tool_calls.forced import NamedCallParser, RequiredCallsParser


@dataclass(frozen=True)
class AnswerFormat:
    """What holds for all choices of one request."""

    parser: Callable[[], OutputParser]  # makes one, for one choice
    shown_tokens: frozenset[str] = frozenset()  # special tokens whose text the parser must see
    reasoning_end: str | None = None  # set if the answer begins inside the model's thinking: that lasts until this tag
    forced: ForcedCalls | None = None  # the answer, after its thinking, must be calls as raw JSON

    @property
    def forces_calls(self) -> bool:
        return self.forced is not None

    def finish_reason(self, reason: str, num_calls: int) -> str:
        """What clients are told. OpenAI says "stop" for the call of a tool that the request named."""
        is_named = self.forced is not None and self.forced.is_named
        return "tool_calls" if reason == "stop" and num_calls and not is_named else reason


def answer_format(model: TextModel, request: ChatRequest, rendered: RenderedChat) -> AnswerFormat:
    """Raises RequestError for a `tool_choice` that cannot be."""
    forced = forced_calls(request.tools, request.tool_choice, request.parallel_tool_calls)
    reasoning = _reasoning(model, forced, rendered)
    make_content, content_tokens = _content(model, forced, offered_tools(request.tools, request.tool_choice))
    tells_reasoning = request.include_reasoning is not False
    one_call = request.parallel_tool_calls is False

    def parser() -> OutputParser:
        return AnswerParser(reasoning.make(rendered.opens_reasoning), make_content(), tells_reasoning, one_call)

    is_direct = reasoning is PLAIN and (make_content is PlainParser or not one_call)
    return AnswerFormat(
        parser=make_content if is_direct else parser,  # the fast path of most streams
        shown_tokens=reasoning.shown_tokens | content_tokens,
        reasoning_end=reasoning.end if rendered.opens_reasoning else None,
        forced=forced,
    )


def _reasoning(model: TextModel, forced: ForcedCalls | None, rendered: RenderedChat) -> ReasoningFormat:
    """A grammar leaves no room for thinking that the prompt has not begun."""
    if model.reasoning_format is None or (forced is not None and not rendered.opens_reasoning):
        return PLAIN
    return model.reasoning_format


def _content(
    model: TextModel, forced: ForcedCalls | None, tools: Sequence[Tool]
) -> tuple[Callable[[], OutputParser], frozenset[str]]:
    """Makes the parser of what comes after the thinking; and the special tokens it must see."""
    if forced is not None:
        if forced.is_named:
            return partial(NamedCallParser, forced.tools[0][1].function.name), frozenset()
        return RequiredCallsParser, frozenset()
    found = model.tool_call_format
    if not tools or found is None:
        return PlainParser, frozenset()
    return partial(found.make, tools), found.shown_tokens
