"""OpenAI's usage object."""

from typing import Any

from frontend.generate import Usage


def usage_body(usage: Usage) -> dict[str, Any]:
    """Of a completions reply."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def chat_usage_body(usage: Usage) -> dict[str, Any]:
    """Of a chat reply."""
    return usage_body(usage) | {"completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens}}
