"""The prompts of a completions request as the model reads them."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from frontend.fill_in_middle import fill_in_middle
from frontend.generate import Prompt
from frontend.prompt_length import prompt_limit, side_that_gives_way, truncated
from frontend.request_rules import COMPLETIONS_MAX_TOKENS, check_prompt, check_token_id, output_limit
from frontend.request_size import check_num_streams
from frontend.schema_completions import CompletionRequest
from frontend.text_model import TextModel
from frontend.tokenize import encode_text, off_loop
from ipc.errors import ErrorCode, RequestError

MAX_COUNTED = 4  # times the context: of a longer text nobody learns how many tokens it has


class CompletionPrompt(NamedTuple):
    """One prompt."""

    prompt: Prompt
    text: str | None  # as the request has it; None where it gives tokens, or where not all of it may be taken


async def completion_prompts(fields: CompletionRequest, model: TextModel, num_choices: int) -> list[CompletionPrompt]:
    """All prompts as token ids, checked against the model's limits. Raises RequestError naming the prompt."""
    _check_fields(fields)
    limit = prompt_limit(fields, fields.max_tokens, model.card)
    given, is_list = _as_list(fields.prompt)
    check_num_streams(len(given), num_choices, "prompt")
    prompts: list[CompletionPrompt] = []
    for number, one in enumerate(given):
        param = f"prompt[{number}]" if is_list else "prompt"
        if isinstance(one, str):
            token_ids: Sequence[int] = await _encode(one, fields, model, limit)
        else:
            check_token_id(max(one, default=0), model.card, param)  # the schema refuses negative ones
            token_ids = truncated(one, limit, side_that_gives_way(fields))
        if fields.suffix:
            token_ids = await _filled_in(token_ids, fields, model)
        check_counted(token_ids, model, param)
        check_prompt(token_ids, param)
        most = output_limit(len(token_ids), fields.max_tokens, COMPLETIONS_MAX_TOKENS, model.card, "prompt", param)
        prompt = Prompt(token_ids, 0 if fields.max_tokens == 0 else most)
        prompts.append(CompletionPrompt(prompt, one if isinstance(one, str) and limit is None else None))
    return prompts


def _check_fields(fields: CompletionRequest) -> None:
    if fields.max_tokens == 0 and not fields.echo and fields.prompt_logprobs is None:
        message = "'max_tokens' is 0 and nothing of the prompt is asked for ('echo' or 'prompt_logprobs')."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "max_tokens")
    if fields.suffix and (fields.echo or fields.truncate_prompt_tokens is not None):
        message = "'suffix' cannot be combined with 'echo' or 'truncate_prompt_tokens'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "suffix")


async def _encode(text: str, fields: CompletionRequest, model: TextModel, limit: int | None) -> list[int]:
    """With a suffix the special tokens of a beginning come later, before the marks of the gap."""
    add_special = fields.add_special_tokens is not False and not fields.suffix
    if limit is None:
        return await encode_text(model.tokenizer, text, add_special, MAX_COUNTED * model.card.max_model_len)
    side = side_that_gives_way(fields)
    return await off_loop(len(text), lambda: model.tokenizer.encode_prefix(text, limit, side, add_special))


async def _filled_in(prefix: Sequence[int], fields: CompletionRequest, model: TextModel) -> list[int]:
    """The prompt after which the model writes what stands before the suffix."""
    suffix = await encode_text(model.tokenizer, fields.suffix or "", False, MAX_COUNTED * model.card.max_model_len)
    filled = fill_in_middle(prefix, suffix, model.tokenizer)
    if filled is None:
        message = f"The model '{model.card.name}' was not made to fill in text before a 'suffix'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "suffix")
    beginning = [] if fields.add_special_tokens is False else model.tokenizer.encode("", add_special_tokens=True)
    return [*beginning, *filled]


def check_counted(token_ids: Sequence[int], model: TextModel, param: str) -> None:
    """Raises RequestError for a prompt that was not tokenized to its end, for it is much too long."""
    max_model_len = model.card.max_model_len
    if len(token_ids) > MAX_COUNTED * max_model_len:
        message = (
            f"This model's maximum context length is {max_model_len} tokens. However, your prompt has more than "
            f"{MAX_COUNTED * max_model_len} tokens. Please reduce the length of the prompt."
        )
        raise RequestError(ErrorCode.CONTEXT_LENGTH_EXCEEDED, message, param)


def _as_list(prompt: str | list[Any]) -> tuple[list[str | list[int]], bool]:
    """The prompts, and whether the request gave a list of them. One list of token ids is one prompt."""
    if isinstance(prompt, str):
        return [prompt], False
    if not prompt:
        raise RequestError(ErrorCode.INVALID_REQUEST, "'prompt' is an empty list.", "prompt")
    if all(isinstance(part, int) for part in prompt):
        return [prompt], False
    if any(isinstance(part, int) for part in prompt):
        message = "'prompt' mixes token ids with texts or lists; give one list of token ids, or a list of prompts."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "prompt")
    return cast("list[str | list[int]]", prompt), True
