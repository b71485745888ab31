"""Text completions through the official client."""

from typing import Any

import openai
import pytest
from openai.types import Completion, CompletionChoice

MODEL = "tiny-chat"


def test_every_form_of_prompt(client: openai.OpenAI) -> None:
    token_ids = [10, 20, 30]
    for prompt, num_choices in (("The capital", 1), (["The", "A"], 2), (token_ids, 1), ([token_ids, [5]], 2)):
        answer = client.completions.create(model=MODEL, prompt=prompt, max_tokens=4, temperature=0)
        assert [choice.index for choice in answer.choices] == list(range(num_choices))
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 4 * num_choices


def test_lists_and_n_multiply(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=["The", "A"], n=3, max_tokens=3, seed=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3, 4, 5]


def test_default_is_16_tokens(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="1 + 1 =", temperature=0, extra_body={"ignore_eos": True})
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16


def test_streamed_equals_whole(client: openai.OpenAI) -> None:
    options = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 12, "temperature": 0}
    whole = client.completions.create(**options).choices[0].text  # type: ignore[call-overload]
    stream = client.completions.create(**options, stream=True)  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].text for chunk in stream) == whole


def test_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"tiny-chat", "tiny-rerank", "tiny-embed"}
    assert client.models.retrieve("tiny-chat").id == "tiny-chat"


def complete(client: openai.OpenAI, **options: Any) -> Completion:
    known: dict[str, Any] = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 6, "temperature": 0}
    answer: Completion = client.completions.create(**(known | options))
    return answer


def text_of(client: openai.OpenAI, **options: Any) -> str:
    return complete(client, **options).choices[0].text


def mean_logprob(choice: CompletionChoice) -> float:
    assert choice.logprobs is not None
    numbers = choice.logprobs.token_logprobs or []
    return sum(number or 0.0 for number in numbers) / len(numbers)


def test_logprobs_of_an_echoed_prompt(client: openai.OpenAI) -> None:
    choice = complete(client, echo=True, logprobs=2).choices[0]
    assert choice.logprobs is not None
    tokens, offsets = choice.logprobs.tokens or [], choice.logprobs.text_offset or []
    for token, offset in zip(tokens, offsets, strict=True):
        assert token == "<|im_end|>" or choice.text[offset:].startswith(token)
    assert "".join(tokens).startswith(choice.text)
    assert choice.text.startswith("The capital of France is Paris")
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.token_logprobs[0] is None
    assert all(number is not None and number <= 0 for number in choice.logprobs.token_logprobs[1:])


def test_the_prompt_alone_is_scored_as_with_an_output(client: openai.OpenAI) -> None:
    alone = complete(client, echo=True, logprobs=1, max_tokens=0)
    assert alone.choices[0].text == "The capital of France is"
    assert alone.usage is not None
    assert alone.usage.completion_tokens == 0
    longer = complete(client, echo=True, logprobs=1).choices[0]
    assert alone.choices[0].logprobs is not None
    assert longer.logprobs is not None
    scores = alone.choices[0].logprobs.token_logprobs or []
    assert scores[1:] == pytest.approx((longer.logprobs.token_logprobs or [])[1 : len(scores)], abs=1e-3)


def test_prompt_logprobs(client: openai.OpenAI) -> None:
    """vLLM's form: by token id, each prompt token among them; null for the first."""
    answer = complete(client, extra_body={"prompt_logprobs": 2, "return_token_ids": True})
    extra = answer.choices[0].model_extra or {}
    first, *others = extra["prompt_logprobs"]
    assert first is None
    for token_id, entries in zip(extra["prompt_token_ids"][1:], others, strict=True):
        assert 2 <= len(entries) <= 3
        assert entries[str(token_id)]["logprob"] <= 0
        ranks = [entry["rank"] for entry in entries.values()]
        assert {1, 2} <= set(ranks)


def test_the_best_of_several_come_best_first(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"prompt": "A", "temperature": 1.5, "seed": 3, "logprobs": 0}
    every = complete(client, n=6, **options).choices
    answer = complete(client, n=2, best_of=6, **options)
    best = sorted(every, key=mean_logprob, reverse=True)[:2]
    assert [choice.text for choice in answer.choices] == [choice.text for choice in best]
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(
        len((choice.logprobs and choice.logprobs.tokens) or []) for choice in every
    )


def test_what_may_be_drawn(client: openai.OpenAI) -> None:
    token_id = complete(client, extra_body={"return_token_ids": True}).choices[0].model_extra["token_ids"][0]  # type: ignore[index]
    whole = text_of(client)
    assert "Paris" in whole
    assert "Paris" not in text_of(client, extra_body={"bad_words": ["Paris"]})
    assert text_of(client, logit_bias={str(token_id): -100}) != whole
    repeated = text_of(client, logit_bias={str(token_id): 100}, max_tokens=3)
    only = text_of(client, extra_body={"allowed_token_ids": [token_id]}, max_tokens=3)
    assert repeated == only
    assert only == only[: len(only) // 3] * 3


def test_a_penalty_grows_with_every_repetition(client: openai.OpenAI) -> None:
    allowed = {"allowed_token_ids": [40, 50]}
    penalized = text_of(client, extra_body=allowed, max_tokens=60, frequency_penalty=2)
    assert set(penalized) == {"F", "P"}
    assert text_of(client, extra_body=allowed, max_tokens=60) != penalized


def test_the_least_output(client: openai.OpenAI) -> None:
    answer = complete(client, extra_body={"min_tokens": 12}, max_tokens=20)
    assert answer.usage is not None
    assert complete(client, max_tokens=20).usage.completion_tokens < 12  # type: ignore[union-attr]
    assert 12 <= answer.usage.completion_tokens <= 20


def test_128_choices(client: openai.OpenAI) -> None:
    answer = complete(client, prompt="A", n=128, max_tokens=1, temperature=1, seed=1)
    assert [choice.index for choice in answer.choices] == list(range(128))


def test_usage_with_every_part(client: openai.OpenAI) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    parts = list(
        client.completions.create(
            model=MODEL,
            prompt="A",
            max_tokens=6,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"stream_options": options},
        )
    )
    assert all(part.usage is not None for part in parts)
    counts = [part.usage.completion_tokens for part in parts if part.usage is not None]
    assert counts == sorted(counts)
    assert parts[-1].choices == []


def test_errors_are_the_clients_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(model="nobody", prompt="a")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        client.completions.create(model=MODEL, prompt=[5] * 5000)
    assert too_long.value.code == "context_length_exceeded"
    assert "maximum context length" in too_long.value.message
    assert "5000" in too_long.value.message
    with pytest.raises(openai.BadRequestError) as too_many:
        client.completions.create(model=MODEL, prompt="a", logprobs=21)
    assert too_many.value.param == "logprobs"
    with pytest.raises(openai.BadRequestError) as no_gap:
        client.completions.create(model=MODEL, prompt="a", suffix="b")
    assert no_gap.value.param == "suffix"
    with pytest.raises(openai.BadRequestError) as wrong_task:
        client.completions.create(model="tiny-rerank", prompt="a")
    assert wrong_task.value.param == "model"
