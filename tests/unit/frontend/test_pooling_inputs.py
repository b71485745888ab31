"""Every form of input, and what is refused."""

from typing import Any

import msgspec
import pytest

from frontend.byte_tokenizer import ByteTokenizer
from frontend.packed_texts import MAX_TEXTS, Text, TextLimits
from frontend.pooling_inputs import pack_inputs, prompt_before, text_limits, texts_of
from frontend.schema_embeddings import EmbeddingRequest
from frontend.text_model import TextModel
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from ipc.model_card import Embedding

EMBEDDING = Embedding(
    query_prompt="ask: ",
    document_prompt="say: ",
    prompts=(("query", "ask: "), ("sts", "sts: ")),
    default_prompt="def: ",
)
CARD = msgspec.structs.replace(fake_card(0, "e", "fake:embed", 0, 16, 0), embedding=EMBEDDING)
MODEL = TextModel(CARD, ByteTokenizer(), None)


def request(**fields: Any) -> EmbeddingRequest:
    return msgspec.convert(fields, EmbeddingRequest)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1], [2, 3]], [[1], [2, 3]])],
)
def test_forms(given: Any, expected: list[Text]) -> None:
    found = request(input=given).input
    assert found is not None
    assert texts_of(found) == expected


@pytest.mark.parametrize("given", [["a", 1], [[1], 2], ["a", [1]]])
def test_mixtures_are_refused(given: Any) -> None:
    found = request(input=given).input
    assert found is not None
    with pytest.raises(RequestError, match="'input' must be"):
        texts_of(found)


@pytest.mark.parametrize("given", [[], 1, {"a": 1}, [None], [[None]], [-1], [1 << 40], [1.5], None])
def test_wrong_types_are_refused_by_the_schema(given: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"input": [given] if given is None else given}, EmbeddingRequest)


def test_packing_names_the_text_that_is_wrong() -> None:
    packed = pack_inputs(["a", [1, 2]], MODEL, "p:", TextLimits(), "input")
    assert packed.num_tokens == 5  # no prompt before token ids
    with pytest.raises(RequestError) as caught:
        pack_inputs(["a", ""], MODEL, "", TextLimits(), "input")
    assert caught.value.param == "input[1]"
    with pytest.raises(RequestError, match=f"at most {MAX_TEXTS}"):
        pack_inputs(["a"] * (MAX_TEXTS + 1), MODEL, "", TextLimits(), "input")


def test_limits() -> None:
    assert text_limits(request(input="a")) == TextLimits()
    said = request(input="a", truncate_prompt_tokens=5, truncation_side="left", add_special_tokens=False)
    assert text_limits(said) == TextLimits(5, "left", False)
    with pytest.raises(RequestError, match="must not be 0"):
        text_limits(request(input="a", truncate_prompt_tokens=0))


def test_prompts() -> None:
    assert prompt_before(MODEL, None, None) == "def: "
    assert prompt_before(MODEL, "sts", None) == "sts: "
    assert prompt_before(MODEL, None, "query") == "ask: "
    assert prompt_before(MODEL, None, "search_query") == "ask: "
    assert prompt_before(MODEL, None, "passage") == "say: "
    assert prompt_before(MODEL, None, "clustering") == "def: "
    with pytest.raises(RequestError, match="'query', 'sts'") as caught:
        prompt_before(MODEL, "nope", None)
    assert caught.value.param == "prompt_name"


def test_the_last_step_is_left_out_when_asked() -> None:
    assert request(input="a").is_normalized is None
    assert request(input="a", normalize=True).is_normalized is True
    assert request(input="a", normalize=False).is_normalized is False
    for name in ("use_activation", "activation", "softmax"):
        assert request(input="a", **{name: False}).is_normalized is False
        assert not request(input="a", **{name: False}).is_activated
