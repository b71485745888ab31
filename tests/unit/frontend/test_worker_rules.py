"""What the fields of a request ask of the workers."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from frontend.schema_completions import CompletionRequest
from frontend.text_model import TextModel
from frontend.tokenize import CheckpointTokenizer
from frontend.worker_rules import worker_rules
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from ipc.model_card import DefaultSampling
from ipc.token_rules import NO_RULES, TokenRules, encode_rules

WORDS = {"a": 0, "b": 1, "Ġ": 2, "Ġa": 3, "ab": 4, "<end>": 5}


def model(**card: Any) -> TextModel:
    backend = Tokenizer(models.BPE(WORDS, [("Ġ", "a"), ("a", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    known = msgspec.structs.replace(fake_card(0, "m", "fake:generate", 100, 16, 0), eos_token_ids=(5,), **card)
    return TextModel(known, CheckpointTokenizer(backend, False), None)


def rules(card: TextModel | None = None, **fields: Any) -> TokenRules:
    return worker_rules(msgspec.convert({"prompt": "x"} | fields, CompletionRequest), card or model())


def ids(column: bytes) -> list[int]:
    return list(np.frombuffer(column, "<i4").tolist())


def test_nothing_asked_for_is_nothing_to_carry() -> None:
    asked = rules(presence_penalty=0, repetition_penalty=1, min_tokens=0, logit_bias={}, bad_words=[])
    assert asked == NO_RULES
    assert encode_rules(asked) == b""


def test_penalties_and_the_models_own() -> None:
    asked = rules(presence_penalty=0.5, frequency_penalty=-2, repetition_penalty=1.5)
    assert (asked.presence_penalty, asked.frequency_penalty, asked.repetition_penalty) == (0.5, -2, 1.5)
    own = model(default_sampling=DefaultSampling(repetition_penalty=1.1))
    assert rules(own).repetition_penalty == 1.1
    assert rules(own, repetition_penalty=1).repetition_penalty == 1


def test_what_may_not_come_before_the_least_output() -> None:
    assert (rules(min_tokens=3).min_tokens, ids(rules(min_tokens=3).stop_ids)) == (3, [5])
    assert ids(rules(min_tokens=3, stop_token_ids=[1]).stop_ids) == [1, 5]
    assert ids(rules(min_tokens=3, stop_token_ids=[1], ignore_eos=True).stop_ids) == [1]


def test_bias() -> None:
    asked = rules(logit_bias={"7": -100, "256": 1.5})
    assert ids(asked.bias_ids) == [7, 256]
    assert np.frombuffer(asked.bias_values, "<f4").tolist() == [-100, 1.5]


def test_allowed_tokens() -> None:
    assert ids(rules(allowed_token_ids=[3, 1, 3]).allowed_ids) == [1, 3]


def test_bad_words_at_the_beginning_and_after_a_space() -> None:
    """A word of one token has another one after a space; one that merely gets longer there is no other word."""
    assert [ids(word) for word in rules(bad_words=["a"]).bad_words] == [[0], [3]]
    assert [ids(word) for word in rules(bad_words=["ab"]).bad_words] == [[4]]
    assert [ids(word) for word in rules(bad_words=["  a", "ba"]).bad_words] == [[0], [3], [1, 0]]


def test_a_grammar_begins_after_the_thinking() -> None:
    fields = msgspec.convert({"prompt": "x"}, CompletionRequest)
    asked = worker_rules(fields, model(), grammar="{}", grammar_after="ab")
    assert (asked.grammar, ids(asked.grammar_after)) == ("{}", [4])
    assert worker_rules(fields, model(), grammar_after="ab").grammar_after == b""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logit_bias": {"257": 1}}, "logit_bias"),
        ({"logit_bias": {"-1": 1}}, "logit_bias"),
        ({"logit_bias": {"word": 1}}, "logit_bias"),
        ({"logit_bias": {"²": 1}}, "logit_bias"),
        ({"allowed_token_ids": []}, "allowed_token_ids"),
        ({"allowed_token_ids": [0, 257]}, "allowed_token_ids"),
        ({"bad_words": ["a", " "]}, "bad_words[1]"),
    ],
)
def test_refusals(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        rules(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {"7": 101}},
        {"presence_penalty": 2.1},
        {"repetition_penalty": 0},
        {"min_tokens": -1},
        {"bad_words": [""]},
        {"allowed_token_ids": [-1]},
        {"prompt_logprobs": -1},
        {"truncate_prompt_tokens": -2},
    ],
)
def test_the_schema_bounds(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        rules(**fields)
