"""From a typed request to what the scheduler needs: defaults, limits and refusals. Pure functions."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frontend.logprob_rules import NO_LOGPROBS, LogprobRules
from frontend.schema_fields import GenerateFields
from ipc.errors import ErrorCode, RequestError
from ipc.messages import SamplingParams
from ipc.model_card import ModelCard

COMPLETIONS_MAX_TOKENS = 16  # OpenAI's default for /v1/completions; chat takes the rest of the context
SEED_MASK = (1 << 63) - 1
SEED_STRIDE = 0x9E3779B97F4A7C15  # odd, so the seeds of a request's choices all differ


@dataclass(frozen=True)
class GenerateRules:
    """What holds for every stream of one request."""

    sampling: SamplingParams  # of choice 0
    num_choices: int  # of each prompt, in the reply
    num_drawn: int  # of each prompt: more than `num_choices` when only the best are kept
    stops: tuple[str, ...]
    stop_token_ids: tuple[int, ...]
    includes_stop: bool
    ignore_eos: bool
    min_tokens: int
    hides_special: bool
    logprobs: LogprobRules
    returns_token_ids: bool
    cache_salt: str
    priority: int
    stream: bool
    include_usage: bool
    continuous_usage: bool

    @property
    def keeps_best(self) -> bool:
        return self.num_drawn > self.num_choices


def generate_rules(
    fields: GenerateFields, card: ModelCard, logprobs: LogprobRules = NO_LOGPROBS, stream: bool | None = None
) -> GenerateRules:
    """Completes a request with the model's and the API's defaults. `stream`: in the place of the request's. Raises
    RequestError."""
    streams = bool(fields.stream) if stream is None else stream
    for token_id in fields.stop_token_ids or ():
        check_token_id(token_id, card, "stop_token_ids")
    stop = fields.stop if fields.stop is not None else ()
    include_usage, continuous_usage = _usage_wanted(fields)
    return GenerateRules(
        sampling=_sampling(fields, card),
        num_choices=fields.n or 1,
        num_drawn=_num_drawn(fields, streams),
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stop_token_ids=tuple(fields.stop_token_ids or ()),
        includes_stop=bool(fields.include_stop_str_in_output),
        ignore_eos=bool(fields.ignore_eos),
        min_tokens=fields.min_tokens or 0,
        hides_special=fields.skip_special_tokens is not False,
        logprobs=logprobs,
        returns_token_ids=bool(fields.return_token_ids),
        cache_salt=fields.cache_salt or "",
        priority=fields.priority or 0,
        stream=streams,
        include_usage=include_usage,
        continuous_usage=continuous_usage,
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


def check_min_tokens(min_tokens: int, max_tokens: int) -> None:
    """Raises RequestError when the least output is more than the most."""
    if min_tokens > max_tokens:
        message = f"'min_tokens' is {min_tokens}, but at most {max_tokens} tokens may be generated."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "min_tokens")


def token_column(token_ids: Sequence[int]) -> bytes:
    """Token ids as messages carry them."""
    return np.asarray(token_ids, np.dtype("<i4")).tobytes()


def first_said(asked: float | None, model_default: float | None, api_default: float) -> float:
    """A number of the request, else of the model's own defaults, else of the API."""
    if asked is not None:
        return asked
    return api_default if model_default is None else model_default


def _sampling(fields: GenerateFields, card: ModelCard) -> SamplingParams:
    default = card.default_sampling
    seed = random.getrandbits(63) if fields.seed is None else fields.seed & SEED_MASK
    return SamplingParams(
        temperature=first_said(fields.temperature, default.temperature, 1.0),
        top_k=max(0, int(first_said(fields.top_k, default.top_k, 0))),
        top_p=first_said(fields.top_p, default.top_p, 1.0),
        min_p=first_said(fields.min_p, default.min_p, 0.0),
        seed=seed,
    )


def _num_drawn(fields: GenerateFields, streams: bool) -> int:
    num_choices = fields.n or 1
    num_drawn = fields.best_of or num_choices
    if num_drawn < num_choices:
        message = f"'best_of' is {num_drawn}, but 'n' choices out of them are wanted, and n is {num_choices}."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "best_of")
    if num_drawn > num_choices and streams:
        message = "'best_of' greater than 'n' cannot be streamed: which choices are best is known only at the end."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "best_of")
    return num_drawn


def _usage_wanted(fields: GenerateFields) -> tuple[bool, bool]:
    """Whether a streamed reply ends with its usage, and whether each chunk tells the usage so far."""
    options = fields.stream_options
    if options is None:
        return False, False
    if not fields.stream:
        message = "Stream options can only be defined when 'stream' is true."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "stream_options")
    include_usage = bool(options.include_usage)
    return include_usage, include_usage and bool(options.continuous_usage_stats)
