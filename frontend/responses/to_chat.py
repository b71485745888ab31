"""A request of the Responses API as the chat request that answers it."""

from typing import Any, NoReturn

from msgspec import structs

from frontend.responses.conversation import messages_of
from frontend.responses.input_items import MAX_SHOWN, Item
from frontend.responses.schema import ResponsesRequest, ResponsesTool, TextFormat, ToolChoiceObject
from frontend.schema_chat import ChatRequest, Message, Tool, ToolFunction
from frontend.schema_structured import JsonSchema, ResponseFormat
from ipc.errors import ErrorCode, RequestError

LOGPROBS = "message.output_text.logprobs"
# fields that mean the same in both APIs and have the same name
SAME_FIELDS = (
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "stop_token_ids",
    "ignore_eos",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "structured_outputs",
    "cache_salt",
    "priority",
    "parallel_tool_calls",
    "chat_template_kwargs",
)


def chat_request(request: ResponsesRequest, items: list[Item]) -> ChatRequest:
    """`items`: the whole conversation, earlier responses first. Raises RequestError naming the field at fault."""
    messages = messages_of(items)
    if request.instructions is not None:
        messages.insert(0, Message(role="system", content=request.instructions))
    if not messages:
        _refuse("'input' is empty: there is nothing to answer.", "input")
    same: dict[str, Any] = {name: getattr(request, name) for name in SAME_FIELDS}
    wants_logprobs = wanted_logprobs(request) is not None
    return ChatRequest(
        messages=messages,
        max_completion_tokens=request.max_output_tokens,
        tools=_tools(request.tools),
        tool_choice=_tool_choice(request.tool_choice),
        reasoning_effort=request.reasoning.effort if request.reasoning else None,
        response_format=_response_format(request.text.format if request.text else None),
        logprobs=wants_logprobs or None,
        top_logprobs=wanted_logprobs(request),
        **same,
    )


def wanted_logprobs(request: ResponsesRequest) -> int | None:
    """How many alternatives to each token of the text; None: no logprobs at all."""
    if LOGPROBS in (request.include or ()):
        return request.top_logprobs or 0
    return request.top_logprobs or None


def without_turns(chat: ChatRequest, first: int) -> ChatRequest:
    """The conversation from its message `first` on; what the operator said at its beginning stays."""
    head = chat.messages[: num_instructions(chat)]
    return structs.replace(chat, messages=[*head, *chat.messages[first:]])


def num_instructions(chat: ChatRequest) -> int:
    """Messages at the beginning that are no conversation."""
    roles = [message.role for message in chat.messages]
    return next((place for place, role in enumerate(roles) if role not in ("system", "developer")), len(roles))


def _tools(tools: list[ResponsesTool] | None) -> list[Tool] | None:
    if not tools:
        return None
    return [_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]


def _tool(tool: ResponsesTool, where: str) -> Tool:
    if tool.type != "function":
        shown = tool.type[:MAX_SHOWN]
        _refuse(
            f"Tools of type '{shown}' are not supported; 'function' is. This server runs no tools.", f"{where}.type"
        )
    if not tool.name:
        _refuse(f"Missing required field '{where}.name'.", f"{where}.name")
    return Tool("function", ToolFunction(tool.name, tool.description, tool.parameters, tool.strict))


def _tool_choice(choice: str | ToolChoiceObject | None) -> str | dict[str, Any] | None:
    match choice:
        case None | "none" | "auto" | "required":
            return choice
        case ToolChoiceObject(type="function", name=str(name)):
            return {"type": "function", "function": {"name": name}}
        case ToolChoiceObject(type="function"):
            _refuse("Missing required field 'tool_choice.name'.", "tool_choice.name")
        case ToolChoiceObject(type="allowed_tools", tools=list(tools)):
            allowed = [{"type": "function", "function": {"name": tool.name}} for tool in tools]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode or "auto", "tools": allowed}}
        case ToolChoiceObject(type="allowed_tools"):
            _refuse("Missing required field 'tool_choice.tools'.", "tool_choice.tools")
        case ToolChoiceObject(type=kind):
            message = (
                f"A tool_choice of type '{kind[:MAX_SHOWN]}' is not supported; 'function' and 'allowed_tools' are."
            )
            _refuse(message, "tool_choice.type")
    raise AssertionError(choice)


def _response_format(form: TextFormat | None) -> ResponseFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return ResponseFormat(type="json_object")
    for field in ("name", "schema"):
        if getattr(form, field) is None:
            _refuse(f"Missing required field 'text.format.{field}'.", f"text.format.{field}")
    schema = JsonSchema(form.name or "", form.schema, form.description, form.strict)
    return ResponseFormat(type="json_schema", json_schema=schema)


def _refuse(message: str, param: str) -> NoReturn:
    raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
