"""How much one request may ask for at once, over all its prompts and choices."""

from collections.abc import Sequence

from ipc.errors import ErrorCode, RequestError

MAX_STREAMS = 1024  # choices of one request, over all its prompts
MAX_RULES_BYTES = 32 << 20
MAX_PROMPT_LOGPROBS = 1 << 19  # about 100 MB while a reply is built
MAX_OUTPUT_LOGPROBS = 1 << 22  # one choice of 131,072 tokens may tell 20 likeliest ones at each


def check_num_streams(num_prompts: int, num_choices: int, param: str) -> None:
    """Raises RequestError when one request asks for too many choices in all."""
    if num_prompts * num_choices > MAX_STREAMS:
        message = f"{num_prompts} prompts with n={num_choices} are more than {MAX_STREAMS} choices in one request."
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def check_fits_queue(prompt_lengths: Sequence[int], num_choices: int, max_waiting_tokens: int, param: str) -> None:
    """Raises RequestError when the queue has no room for all choices at once, ever: they would be refused again and
    again, each time as if coming back later helped. A single one is always let in by an empty queue."""
    num_waiting = sum(prompt_lengths) * num_choices
    if len(prompt_lengths) * num_choices > 1 and num_waiting > max_waiting_tokens:
        message = (
            f"All choices of this request together have {num_waiting} prompt tokens, and at most {max_waiting_tokens} "
            "may wait in this server's queue: ask for fewer at once."
        )
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def check_rules_size(num_bytes: int, num_streams: int, param: str) -> None:
    """Raises RequestError when the rules that travel with every choice are too large together."""
    if num_bytes * num_streams > MAX_RULES_BYTES:
        message = (
            f"The grammar, biases and bans of this request are {num_bytes} bytes for each of {num_streams} choices, "
            f"together more than {MAX_RULES_BYTES}: ask for fewer choices."
        )
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)


def check_prompt_logprobs(prompt_lengths: Sequence[int], num_choices: int, num_top: int) -> None:
    """Raises RequestError when the log-probabilities of all prompts, told with each choice, are more than one reply can
    hold. `num_top`: as in LogprobRules."""
    num_told = sum(prompt_lengths) * num_choices * (num_top + 1)
    if num_told > MAX_PROMPT_LOGPROBS:
        message = (
            f"The log-probabilities of the prompts are {num_told} numbers over all choices, and one reply may hold "
            f"{MAX_PROMPT_LOGPROBS}: ask for fewer choices or likeliest tokens."
        )
        raise RequestError(ErrorCode.INVALID_REQUEST, message, "prompt_logprobs")


def check_output_logprobs(output_limits: Sequence[int], num_choices: int, num_top: int, param: str) -> None:
    """Raises RequestError when the log-probabilities of all outputs can become more than one whole reply can hold.
    `output_limits`: tokens that each prompt's choices may have. `num_top`: as in LogprobRules."""
    num_told = sum(output_limits) * num_choices * (num_top + 1)
    if num_told > MAX_OUTPUT_LOGPROBS:
        message = (
            f"The log-probabilities of the output can be {num_told} numbers over all choices, and one reply may hold "
            f"{MAX_OUTPUT_LOGPROBS}: ask for fewer tokens, choices or likeliest tokens, or for a stream."
        )
        raise RequestError(ErrorCode.INVALID_REQUEST, message, param)
