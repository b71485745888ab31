"""Which log-probabilities a request wants, from either API's fields."""

from typing import NamedTuple

from frontend.schema_chat import ChatRequest
from frontend.schema_completions import CompletionRequest
from frontend.schema_fields import GenerateFields
from ipc.errors import ErrorCode, RequestError


class LogprobRules(NamedTuple):
    """Numbers of likeliest tokens; -1: no log-probabilities at all."""

    num_output: int = -1
    num_prompt: int = -1


NO_LOGPROBS = LogprobRules()


def completion_logprobs(fields: CompletionRequest, max_logprobs: int) -> LogprobRules:
    """With `echo` the prompt's tokens are part of the answer, so their log-probabilities are, too. Raises
    RequestError."""
    wanted = fields.logprobs
    if wanted is True:
        message = "'logprobs' is a number here: how many of the likeliest tokens to tell at each place."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "logprobs")
    num_output = -1 if wanted is None or wanted is False else wanted
    _check(num_output, max_logprobs, "logprobs")
    num_prompt = _num_prompt(fields, max_logprobs)
    return LogprobRules(num_output, max(num_prompt, num_output) if fields.echo else num_prompt)


def chat_logprobs(fields: ChatRequest, max_logprobs: int) -> LogprobRules:
    """Raises RequestError."""
    if fields.top_logprobs and not fields.logprobs:
        message = "When using 'top_logprobs', 'logprobs' must be set to true."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "top_logprobs")
    num_output = (fields.top_logprobs or 0) if fields.logprobs else -1
    _check(num_output, max_logprobs, "top_logprobs")
    return LogprobRules(num_output, _num_prompt(fields, max_logprobs))


def _num_prompt(fields: GenerateFields, max_logprobs: int) -> int:
    if fields.prompt_logprobs is None:
        return -1
    if fields.stream:
        message = "'prompt_logprobs' are not available when 'stream' is true."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "prompt_logprobs")
    _check(fields.prompt_logprobs, max_logprobs, "prompt_logprobs")
    return fields.prompt_logprobs


def _check(wanted: int, max_logprobs: int, param: str) -> None:
    if wanted > max_logprobs:
        message = f"'{param}' is {wanted}, but this server tells at most {max_logprobs} (see --max-logprobs)."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
