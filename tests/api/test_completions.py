"""Text completions through the official client."""

import openai
import pytest

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
    assert {model.id for model in client.models.list()} == {"tiny-chat", "tiny-rerank"}
    assert client.models.retrieve("tiny-chat").id == "tiny-chat"


def test_errors_are_the_clients_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(model="nobody", prompt="a")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        client.completions.create(model=MODEL, prompt=[5] * 5000)
    assert too_long.value.code == "context_length_exceeded"
    assert "maximum context length" in too_long.value.message
    assert "5000" in too_long.value.message
    with pytest.raises(openai.BadRequestError) as not_built:
        client.completions.create(model=MODEL, prompt="a", logprobs=3)
    assert not_built.value.param == "logprobs"
    with pytest.raises(openai.BadRequestError) as wrong_task:
        client.completions.create(model="tiny-rerank", prompt="a")
    assert wrong_task.value.param == "model"
