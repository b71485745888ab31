"""A chat request as the tokens the model reads."""

import asyncio
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateSyntaxError

from frontend.chat_messages import message_text
from frontend.chat_template import FAILURES, ChatTemplate, Rendering, content_form_of, render
from frontend.forced_calls import offered_tools
from frontend.reasoning.format import PLAIN
from frontend.request_template import renderer
from frontend.schema_chat import MAX_MESSAGES, ChatRequest
from frontend.text_model import TextModel
from frontend.tokenize import encode_text, off_loop
from ipc.errors import ErrorCode, RequestError

# what `chat_template_kwargs` may not set: fields of the request say it
RESERVED = frozenset(
    "conversations messages tools documents chat_template tokenize return_assistant_tokens_mask "
    "continue_final_message add_generation_prompt source variables".split()
)
MAX_TEMPLATE_CHARS = 131_072  # of a request's own; the longest templates of models have a quarter of that


@dataclass(frozen=True)
class RenderedChat:
    """One conversation, ready for the model."""

    token_ids: list[int]
    text: str
    opens_reasoning: bool = False  # it ends inside the model's thinking
    continues: bool = False  # the answer goes on in the middle of the last message
    last_role: str = ""
    last_text: str = ""  # of the last message, for `echo`


async def chat_prompt(
    request: ChatRequest,
    model: TextModel,
    trust_request_template: bool,
    num_body_chars: int,
    max_tokens: int | None = None,
) -> RenderedChat:
    """Renders and tokenizes. `num_body_chars`: size of the request, for the choice of a thread. `max_tokens`: see
    `encode_text`. Raises RequestError."""
    if len(request.messages) > MAX_MESSAGES:  # conversations of other APIs come here, too
        raise _refusal(f"'messages' may hold at most {MAX_MESSAGES} messages.", "messages")
    rendering = _rendering(request, model.excludes_tools)
    if request.chat_template is not None:
        if not trust_request_template:
            message = "'chat_template' is only taken by a server started with --trust-request-chat-template."
            raise _refusal(message, "chat_template")
        text = await _render_own(request.chat_template, request, model.chat_template, rendering)
    else:
        template = _template(model)
        text = await off_loop(num_body_chars, lambda: template.prompt(request.messages, rendering))
    # the template writes the model's special tokens itself
    token_ids = await encode_text(model.tokenizer, text, request.add_special_tokens is True, max_tokens)
    last = request.messages[-1]
    reasoning = model.reasoning_format or PLAIN
    return RenderedChat(
        token_ids=token_ids,
        text=text,
        opens_reasoning=reasoning.always_opens or reasoning.is_open_after(text),
        continues=rendering.continue_final_message,
        last_role=last.role,
        last_text=message_text(last),
    )


def _rendering(request: ChatRequest, excludes_tools: bool) -> Rendering:
    """Raises RequestError for fields that exclude one another."""
    continues = request.continue_final_message is True
    if continues and request.add_generation_prompt:
        message = "'continue_final_message' and 'add_generation_prompt' exclude one another."
        raise _refusal(message, "continue_final_message")
    tools = offered_tools(request.tools, request.tool_choice)
    if request.tool_choice == "none" and not excludes_tools:
        tools = request.tools or []
    return Rendering(
        tools=tools,
        documents=request.documents,
        add_generation_prompt=not continues and request.add_generation_prompt is not False,
        continue_final_message=continues,
        variables=_variables(request),
    )


def _variables(request: ChatRequest) -> dict[str, Any]:
    """`reasoning_effort` "none" also turns the switches off by which templates know thinking."""
    given = request.chat_template_kwargs or {}
    taken = RESERVED.intersection(given)
    if taken:
        message = f"'chat_template_kwargs' cannot set {', '.join(sorted(taken))}; a field of the request does."
        raise _refusal(message, "chat_template_kwargs")
    if request.reasoning_effort is None:
        return given
    switches = {"enable_thinking": False, "thinking": False} if request.reasoning_effort == "none" else {}
    return {"reasoning_effort": request.reasoning_effort, **switches, **given}


def _template(model: TextModel) -> ChatTemplate:
    if model.chat_template is None:
        message = f"The model '{model.card.name}' has no chat template; start the server with --chat-template."
        raise _refusal(message, "messages")
    return model.chat_template


async def _render_own(source: str, request: ChatRequest, own: ChatTemplate | None, rendering: Rendering) -> str:
    """With the request's template. It knows the special tokens that the model's own template knows."""
    if len(source) > MAX_TEMPLATE_CHARS:
        raise _refusal(f"'chat_template' may have {MAX_TEMPLATE_CHARS} characters.", "chat_template")
    template = own or ChatTemplate({}, render)
    try:
        form = await asyncio.to_thread(content_form_of, source, "auto")
    except TemplateSyntaxError as error:
        message = f"The request's chat template is broken in line {error.lineno}: {error.message}"
        raise _refusal(message, "chat_template") from None
    except FAILURES as error:
        raise _refusal(f"The request's chat template cannot be read: {error}", "chat_template") from None
    filling = template.filling(source, request.messages, rendering, form)
    return await renderer.render(
        {
            "conversations": [filling.messages],
            "tools": filling.tools,
            "documents": filling.documents,
            "chat_template": filling.source,
            "continue_final_message": filling.continue_final_message,
            "add_generation_prompt": filling.add_generation_prompt,
            "variables": filling.variables,
        }
    )


def _refusal(message: str, param: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, message, param)
