"""A request of the Messages API as the chat request that answers it."""

from typing import Any, NoReturn

from frontend.anthropic.conversation import MAX_SHOWN, chat_messages
from frontend.anthropic.schema import MessagesRequest, MessagesTool, PromptFields, ToolChoice
from frontend.schema_chat import ChatRequest, Tool, ToolFunction
from frontend.schema_structured import JsonSchema, ResponseFormat
from ipc.errors import ErrorCode, RequestError

# how templates of the big families call the switch of the model's thinking
THINKING_SWITCHES = ("enable_thinking", "thinking")


def chat_request(request: PromptFields) -> ChatRequest:
    """Raises RequestError naming the field at fault."""
    messages = chat_messages(request.system, request.messages)
    if not messages:
        _refuse("'messages' is empty: there is nothing to answer.", "messages")
    choice = request.tool_choice
    goes_on = messages[-1].role == "assistant" and not messages[-1].tool_calls  # its answer is begun by the client
    if goes_on and not messages[-1].content:
        _refuse("The last message of the assistant is empty: there is nothing to go on with.", "messages")
    return ChatRequest(
        model=request.model,
        messages=messages,
        tools=[_tool(tool, f"tools[{place}]") for place, tool in enumerate(request.tools)] if request.tools else None,
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        add_generation_prompt=False if goes_on else None,
        continue_final_message=goes_on or None,
        reasoning_effort=request.output_config.effort if request.output_config else None,
        response_format=_response_format(request),
        chat_template_kwargs=_switches(request),
        **(_sampling(request) if isinstance(request, MessagesRequest) else {}),
    )


def _sampling(request: MessagesRequest) -> dict[str, Any]:
    return {
        "max_completion_tokens": request.max_tokens,
        "stop": request.stop_sequences,
        "temperature": request.temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
    }


def _tool(tool: MessagesTool, where: str) -> Tool:
    if tool.type not in (None, "custom"):
        shown = tool.type[:MAX_SHOWN] if tool.type else ""
        _refuse(f"'{where}': tools of type '{shown}' are not supported; 'custom' ones are.", f"{where}.type")
    if tool.input_schema is None:
        _refuse(f"Missing required field '{where}.input_schema'.", f"{where}.input_schema")
    return Tool("function", ToolFunction(tool.name, tool.description, tool.input_schema, tool.strict))


def _tool_choice(choice: ToolChoice | None) -> str | dict[str, Any] | None:
    if choice is None:
        return None
    match choice.type:
        case "tool":
            if choice.name is None:
                _refuse("Missing required field 'tool_choice.name'.", "tool_choice.name")
            return {"type": "function", "function": {"name": choice.name}}
        case "any":
            return "required"
        case "auto" | "none":
            return choice.type


def _response_format(request: PromptFields) -> ResponseFormat | None:
    form = (request.output_config.format if request.output_config else None) or request.output_format
    if form is None:
        return None
    return ResponseFormat(type="json_schema", json_schema=JsonSchema("output", form.schema))


def _switches(request: PromptFields) -> dict[str, Any] | None:
    """What is not said is as the model's template has it."""
    if request.thinking is None or request.thinking.type == "adaptive":
        return None
    return dict.fromkeys(THINKING_SWITCHES, request.thinking.type != "disabled")


def _refuse(message: str, param: str) -> NoReturn:
    raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
