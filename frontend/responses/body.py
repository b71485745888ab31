"""The response object: what the client asked for, told back, and how the answer ended."""

import time
from typing import Any

from msgspec import to_builtins

from frontend.chat_answer import Usage
from frontend.responses.schema import ResponsesRequest
from frontend.responses.status import Body
from ipc.model_card import ModelCard


def new_body(request: ResponsesRequest, response_id: str, card: ModelCard, is_stored: bool) -> Body:
    """In progress, without output."""
    default = card.default_sampling
    reasoning = request.reasoning
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "background": bool(request.background),
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": card.name,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": None},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": is_stored,
        "temperature": _first(request.temperature, default.temperature, 1.0),
        "text": _text(request),
        "tool_choice": "auto" if request.tool_choice is None else _told(request.tool_choice),
        "tools": [{"strict": None, **_told(tool)} for tool in request.tools or ()],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": _first(request.top_p, default.top_p, 1.0),
        "truncation": request.truncation or "disabled",
        "usage": None,
        "user": request.user,
    }


def finish(body: Body, output: list[Body], finish_reason: str, usage: Usage) -> None:
    """The answer has ended."""
    body["output"] = output
    body["usage"] = usage_of(usage)
    if finish_reason == "length":
        body["status"] = "incomplete"
        body["incomplete_details"] = {"reason": "max_output_tokens"}
    else:
        body["status"] = "completed"
        body["completed_at"] = int(time.time())


def usage_of(usage: Usage) -> Body:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _text(request: ResponsesRequest) -> Body:
    text = request.text
    told = {"type": "text"} if text is None or text.format is None else _told(text.format)
    return {"format": told, "verbosity": text.verbosity if text else None}


def _told(field: Any) -> Any:
    """A field as the client sent it, without what it did not say."""
    plain = to_builtins(field)
    return {name: value for name, value in plain.items() if value is not None} if isinstance(plain, dict) else plain


def _first(asked: float | None, model_default: float | None, api_default: float) -> float:
    return next(value for value in (asked, model_default, api_default) if value is not None)
