"""Defaults, limits and seeds of generate requests."""

from typing import Any

import msgspec
import pytest

from frontend.request_rules import SEED_STRIDE, check_min_tokens, choice_sampling, generate_rules, output_limit
from frontend.schema_completions import CompletionRequest
from ipc.errors import ErrorCode, RequestError
from ipc.fake_card import fake_card
from ipc.model_card import DefaultSampling

CARD = fake_card(0, "m", "fake:generate", 100, 16, 0)


def request(**fields: Any) -> CompletionRequest:
    return msgspec.convert({"prompt": "x"} | fields, CompletionRequest)


def test_defaults_of_the_api() -> None:
    rules = generate_rules(request(), CARD)
    sampling = rules.sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (1.0, 0, 1.0, 0.0)
    assert (rules.num_choices, rules.stops, rules.stream, rules.include_usage) == (1, (), False, False)


def test_the_models_defaults_and_the_requests_values() -> None:
    card = msgspec.structs.replace(CARD, default_sampling=DefaultSampling(0.6, 0.9, 20, None))
    sampling = generate_rules(request(), card).sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (0.6, 20, 0.9, 0.0)
    sampling = generate_rules(request(temperature=0, top_k=-1, top_p=1), card).sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0, 0, 1)


def test_seeds() -> None:
    """Choice 0 has the request's seed itself, the others follow a documented formula; no seed is a random one."""
    rules = generate_rules(request(seed=5, n=3), CARD)
    seeds = [choice_sampling(rules, choice).seed for choice in range(3)]
    assert seeds == [5, (5 + SEED_STRIDE) % 2**63, (5 + 2 * SEED_STRIDE) % 2**63]
    assert generate_rules(request(seed=-1), CARD).sampling.seed == 2**63 - 1
    assert generate_rules(request(), CARD).sampling.seed != generate_rules(request(), CARD).sampling.seed


def test_stop_as_text_and_as_list() -> None:
    assert generate_rules(request(stop="x"), CARD).stops == ("x",)
    assert generate_rules(request(stop=["x", "y"]), CARD).stops == ("x", "y")


@pytest.mark.parametrize(("include", "continuous"), [(True, True), (True, False), (False, True)])
def test_usage_in_a_stream(include: bool, continuous: bool) -> None:
    """Continuous usage is a way to tell the usage: without `include_usage` there is none."""
    options = {"include_usage": include, "continuous_usage_stats": continuous}
    rules = generate_rules(request(stream=True, stream_options=options), CARD)
    assert (rules.include_usage, rules.continuous_usage) == (include, include and continuous)


def test_the_best_of_several() -> None:
    rules = generate_rules(request(n=2, best_of=5), CARD)
    assert (rules.num_choices, rules.num_drawn, rules.keeps_best) == (2, 5, True)
    rules = generate_rules(request(n=2, best_of=2, stream=True), CARD)
    assert (rules.num_choices, rules.num_drawn, rules.keeps_best) == (2, 2, False)


def test_the_least_output_is_not_above_the_most() -> None:
    check_min_tokens(5, 5)
    with pytest.raises(RequestError) as caught:
        check_min_tokens(6, 5)
    assert caught.value.param == "min_tokens"


def test_output_limit() -> None:
    assert output_limit(90, None, 16, CARD, "prompt", "prompt") == 10
    assert output_limit(50, None, 16, CARD, "prompt", "prompt") == 16
    assert output_limit(50, None, None, CARD, "messages", "messages") == 50
    assert output_limit(50, 50, 16, CARD, "prompt", "prompt") == 50


@pytest.mark.parametrize(("num_prompt", "wanted", "total"), [(100, None, 101), (60, 41, 101), (300, 5, 305)])
def test_context_length_exceeded(num_prompt: int, wanted: int | None, total: int) -> None:
    with pytest.raises(RequestError) as caught:
        output_limit(num_prompt, wanted, None, CARD, "messages", "messages")
    assert caught.value.code is ErrorCode.CONTEXT_LENGTH_EXCEEDED
    assert "maximum context length is 100 tokens" in str(caught.value)
    assert f"you requested {total} tokens ({num_prompt} in the messages" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"best_of": 2, "n": 3}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"stop_token_ids": [257]}, "stop_token_ids"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        generate_rules(request(**fields), CARD)
    assert caught.value.param == param
