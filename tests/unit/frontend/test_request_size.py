"""What is too much for one request."""

import pytest

from frontend.request_size import (
    MAX_OUTPUT_LOGPROBS,
    MAX_PROMPT_LOGPROBS,
    MAX_RULES_BYTES,
    MAX_STREAMS,
    check_fits_queue,
    check_num_streams,
    check_output_logprobs,
    check_prompt_logprobs,
    check_rules_size,
)
from ipc.errors import ErrorCode, RequestError


def test_what_no_queue_has_room_for_is_refused_for_good() -> None:
    """It was answered 429 again and again before, as if coming back later helped."""
    check_fits_queue([60, 40], 1, 100, "prompt")
    check_fits_queue([500], 1, 100, "prompt")  # one alone is let in by an empty queue
    for lengths, num_choices in (([60, 41], 1), ([60], 2)):
        with pytest.raises(RequestError) as caught:
            check_fits_queue(lengths, num_choices, 100, "prompt")
        assert (caught.value.code, caught.value.param) == (ErrorCode.INVALID_REQUEST, "prompt")


def test_a_reply_holds_only_so_many_prompt_logprobs() -> None:
    half = MAX_PROMPT_LOGPROBS // 2
    check_prompt_logprobs([half * 4], 128, -1)
    check_prompt_logprobs([half, half], 1, 0)
    for lengths, num_choices, num_top in (([half, 1], 1, 1), ([half, 1], 2, 0)):
        with pytest.raises(RequestError) as caught:
            check_prompt_logprobs(lengths, num_choices, num_top)
        assert caught.value.param == "prompt_logprobs"


def test_a_reply_holds_only_so_many_output_logprobs() -> None:
    check_output_logprobs([MAX_OUTPUT_LOGPROBS] * 4, 128, -1, "logprobs")
    check_output_logprobs([131_072], 1, 20, "top_logprobs")  # one choice with all of a long context
    for limits, num_choices, num_top in (([131_072], 2, 20), ([131_072] * 2, 1, 20), ([MAX_OUTPUT_LOGPROBS + 1], 1, 0)):
        with pytest.raises(RequestError) as caught:
            check_output_logprobs(limits, num_choices, num_top, "top_logprobs")
        assert (caught.value.code, caught.value.param) == (ErrorCode.INVALID_REQUEST, "top_logprobs")


def test_rules_that_travel_with_every_choice_are_bounded_together() -> None:
    check_rules_size(MAX_RULES_BYTES // 8, 8, "messages")
    with pytest.raises(RequestError) as caught:
        check_rules_size(MAX_RULES_BYTES // 8, 9, "messages")
    assert caught.value.param == "messages"


def test_choices_of_all_prompts_are_bounded_together() -> None:
    check_num_streams(MAX_STREAMS // 128, 128, "prompt")
    with pytest.raises(RequestError) as caught:
        check_num_streams(MAX_STREAMS // 128 + 1, 128, "prompt")
    assert caught.value.param == "prompt"
