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
from frontend.tokenize import off_loop
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
    params = [f"prompt[{number}]" if is_list else "prompt" for number in range(len(given))]
    # all at once: many short ones would keep the loop for as long as a long one
    return await off_loop(
        sum(map(len, given)) + len(given) * len(fields.suffix or ""),  # each is tokenized together with the suffix
        lambda: [_prompt(one, fields, model, limit, param) for one, param in zip(given, params, strict=True)],
    )


def _prompt(
    given: str | list[int], fields: CompletionRequest, model: TextModel, limit: int | None, param: str
) -> CompletionPrompt:
    if isinstance(given, str):
        token_ids: Sequence[int] = _encode(given, fields, model, limit)
    else:
        check_token_id(max(given, default=0), model.card, param)  # the schema refuses negative ones
        token_ids = truncated(given, limit, side_that_gives_way(fields))
    if fields.suffix:
        token_ids = _filled_in(token_ids, fields, model)
    check_counted(token_ids, model, param)
    check_prompt(token_ids, param)
    most = output_limit(len(token_ids), fields.max_tokens, COMPLETIONS_MAX_TOKENS, model.card, "prompt", param)
    prompt = Prompt(token_ids, 0 if fields.max_tokens == 0 else most)
    return CompletionPrompt(prompt, given if isinstance(given, str) and limit is None else None)


def _check_fields(fields: CompletionRequest) -> None:
    if fields.max_tokens == 0 and not fields.echo and fields.prompt_logprobs is None:
        message = "'max_tokens' is 0 and nothing of the prompt is asked for ('echo' or 'prompt_logprobs')."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "max_tokens")
    if fields.suffix and (fields.echo or fields.truncate_prompt_tokens is not None):
        message = "'suffix' cannot be combined with 'echo' or 'truncate_prompt_tokens'."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "suffix")


def _encode(text: str, fields: CompletionRequest, model: TextModel, limit: int | None) -> list[int]:
    """With a suffix the special tokens of a beginning come later, before the marks of the gap."""
    add_special = fields.add_special_tokens is not False and not fields.suffix
    if limit is None:
        return model.tokenizer.encode_prefix(text, _most_counted(model), add_special_tokens=add_special)
    return model.tokenizer.encode_prefix(text, limit, side_that_gives_way(fields), add_special)


def _most_counted(model: TextModel) -> int:
    """One token more than is counted: `check_counted` sees by it that there were too many."""
    return MAX_COUNTED * model.card.max_model_len + 1


def _filled_in(prefix: Sequence[int], fields: CompletionRequest, model: TextModel) -> list[int]:
    """The prompt after which the model writes what stands before the suffix."""
    suffix = model.tokenizer.encode_prefix(fields.suffix or "", _most_counted(model))
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
