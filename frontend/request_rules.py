"""From a typed request to what the scheduler needs: defaults, limits and refusals. Pure functions."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frontend.schema_fields import GenerateFields
from ipc.errors import ErrorCode, RequestError
from ipc.messages import SamplingParams
from ipc.model_card import ModelCard

MAX_STREAMS = 1024  # choices of one request, over all its prompts
COMPLETIONS_MAX_TOKENS = 16  # OpenAI's default for /v1/completions; chat takes the rest of the context
SEED_MASK = (1 << 63) - 1
SEED_STRIDE = 0x9E3779B97F4A7C15  # odd, so the seeds of a request's choices all differ


@dataclass(frozen=True)
class GenerateRules:
    """What holds for every stream of one request."""

    sampling: SamplingParams  # of choice 0
    num_choices: int
    stops: tuple[str, ...]
    stop_token_ids: tuple[int, ...]
    ignore_eos: bool
    cache_salt: str
    priority: int
    stream: bool
    include_usage: bool


def generate_rules(fields: GenerateFields, card: ModelCard) -> GenerateRules:
    """Completes a request with the model's and the API's defaults. Raises RequestError."""
    num_choices = fields.n or 1
    if fields.best_of is not None and fields.best_of != num_choices:
        raise RequestError(ErrorCode.INVALID_REQUEST, "'best_of' is not supported yet unless it equals 'n'.", "best_of")
    for token_id in fields.stop_token_ids or ():
        check_token_id(token_id, card, "stop_token_ids")
    stop = fields.stop if fields.stop is not None else ()
    stream = bool(fields.stream)
    return GenerateRules(
        sampling=_sampling(fields, card),
        num_choices=num_choices,
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stop_token_ids=tuple(fields.stop_token_ids or ()),
        ignore_eos=bool(fields.ignore_eos),
        cache_salt=fields.cache_salt or "",
        priority=fields.priority or 0,
        stream=stream,
        include_usage=_include_usage(fields, stream),
    )


def choice_sampling(rules: GenerateRules, choice: int) -> SamplingParams:
    """Sampling of choice `choice` of a prompt: its seed is (seed + choice * SEED_STRIDE) mod 2**63, so choice 0 has
    the seed itself, and a prompt in a list is answered as it would be alone."""
    base = rules.sampling
    seed = (base.seed + choice * SEED_STRIDE) & SEED_MASK
    return SamplingParams(base.temperature, base.top_k, base.top_p, base.min_p, seed)


def output_limit(
    num_prompt_tokens: int, wanted: int | None, default: int | None, card: ModelCard, where: str, param: str
) -> int:
    """Tokens a stream may produce. `wanted`: what the request says; `default`: else this, or None for all that fits.

    `where` ("messages", "prompt") is named in the message; `param` is the field. Raises RequestError.
    """
    room = card.max_model_len - num_prompt_tokens
    if room < (wanted or 1):
        raise context_length_exceeded(card.max_model_len, num_prompt_tokens, wanted, where, param)
    return wanted or min(default or room, room)


def context_length_exceeded(
    max_model_len: int, num_prompt_tokens: int, wanted: int | None, where: str, param: str
) -> RequestError:
    """The refusal, in the words clients look for."""
    completion = wanted or 1  # a completion has at least one token
    message = (
        f"This model's maximum context length is {max_model_len} tokens. However, you requested "
        f"{num_prompt_tokens + completion} tokens "
        f"({num_prompt_tokens} in the {where}, {completion} in the completion). "
        f"Please reduce the length of the {where}{' or completion' if wanted else ''}."
    )
    return RequestError(ErrorCode.CONTEXT_LENGTH_EXCEEDED, message, param)


def check_prompt(token_ids: Sequence[int], param: str) -> None:
    """Raises RequestError for an empty prompt."""
    if not token_ids:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"'{param}' is empty: there is nothing to continue.", param)


def check_token_id(token_id: int, card: ModelCard, param: str) -> None:
    """Raises RequestError for an id outside the vocabulary."""
    if not 0 <= token_id < card.vocab_size:
        message = f"Token id {token_id} is outside the vocabulary of {card.name} ({card.vocab_size} tokens)."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def check_num_streams(num_prompts: int, num_choices: int, param: str) -> None:
    """Raises RequestError when one request asks for too many choices in all."""
    if num_prompts * num_choices > MAX_STREAMS:
        message = f"{num_prompts} prompts with n={num_choices} are more than {MAX_STREAMS} choices in one request."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def token_column(token_ids: Sequence[int]) -> bytes:
    """Token ids as messages carry them."""
    return np.asarray(token_ids, np.dtype("<i4")).tobytes()


def _sampling(fields: GenerateFields, card: ModelCard) -> SamplingParams:
    default = card.default_sampling
    seed = random.getrandbits(63) if fields.seed is None else fields.seed & SEED_MASK
    return SamplingParams(
        temperature=_first(fields.temperature, default.temperature, 1.0),
        top_k=max(0, int(_first(fields.top_k, default.top_k, 0))),
        top_p=_first(fields.top_p, default.top_p, 1.0),
        min_p=_first(fields.min_p, default.min_p, 0.0),
        seed=seed,
    )


def _first(asked: float | None, model_default: float | None, api_default: float) -> float:
    if asked is not None:
        return asked
    return api_default if model_default is None else model_default


def _include_usage(fields: GenerateFields, stream: bool) -> bool:
    options = fields.stream_options
    if options is None:
        return False
    if not stream:
        message = "Stream options can only be defined when 'stream' is true."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "stream_options")
    if options.continuous_usage_stats:
        message = "'stream_options.continuous_usage_stats' is not supported yet."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "stream_options.continuous_usage_stats")
    return bool(options.include_usage)
