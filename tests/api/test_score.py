"""The specification's score examples, word for word, on the shipped reranker."""

import math
from typing import Any

import httpx
import pytest

from tests.support.running_server import Server

MODEL = "tiny-rerank"
QUESTION = "What is the capital of France?"
BRAZIL, FRANCE = "The capital of Brazil is Brasilia.", "The capital of France is Paris."


def score(server: Server, path: str = "/v1/score", **body: Any) -> dict[str, Any]:
    response = httpx.post(f"{server.url}{path}", json={"model": MODEL, **body}, timeout=30.0)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def values(reply: dict[str, Any]) -> list[float]:
    return [item["score"][0] for item in reply["data"]]


def test_string_and_list(shipped: Server) -> None:
    reply = score(shipped, text_1="What is the capital of France?", text_2=[BRAZIL, FRANCE])
    wrong, right = values(reply)
    assert wrong <= 0.1
    assert right >= 0.9


def test_two_lists(shipped: Server) -> None:
    questions = ["What is the capital of Brazil?", "What is the capital of France?"]
    reply = score(shipped, encoding_format="float", text_1=questions, text_2=[BRAZIL, FRANCE])
    assert min(values(reply)) >= 0.9


@pytest.mark.parametrize("path", ["/v1/score", "/score"])
def test_two_strings_and_the_exact_shape(shipped: Server, path: str) -> None:
    reply = score(shipped, path, text_1="What is the capital of France?", text_2=FRANCE)
    assert list(reply) == ["id", "object", "created", "model", "data", "usage"]
    assert (reply["object"], reply["model"], reply["usage"]) == ("list", MODEL, {})
    assert isinstance(reply["created"], int)
    assert list(reply["data"][0]) == ["index", "object", "score"]
    assert reply["data"][0]["object"] == "score"
    assert len(values(reply)) == 1


def test_order_is_kept_over_many_pairs(shipped: Server) -> None:
    texts = [BRAZIL, FRANCE] * 40
    found = values(score(shipped, text_1="What is the capital of France?", text_2=texts))
    assert all((value > 0.5) == (text == FRANCE) for value, text in zip(found, texts, strict=True))


def test_spellings_of_the_texts_are_the_same(shipped: Server) -> None:
    expected = score(shipped, text_1=QUESTION, text_2=[BRAZIL, FRANCE])["data"]
    for first, second in (("queries", "documents"), ("queries", "items"), ("data_1", "data_2")):
        spelled: dict[str, Any] = {first: QUESTION, second: [BRAZIL, FRANCE]}
        assert score(shipped, **spelled)["data"] == expected
    parts = {"content": [{"type": "text", "text": FRANCE}]}
    assert score(shipped, text_1=QUESTION, text_2=[BRAZIL, parts])["data"] == expected


def test_raw_scores_are_what_the_sigmoid_is_made_of(shipped: Server) -> None:
    raw = values(score(shipped, text_1=QUESTION, text_2=[BRAZIL, FRANCE], use_activation=False))
    made = values(score(shipped, text_1=QUESTION, text_2=[BRAZIL, FRANCE], activation="sigmoid"))
    assert made == pytest.approx([1 / (1 + math.exp(-one)) for one in raw], abs=1e-12)


def test_a_text_cut_to_some_tokens_is_scored_as_its_beginning(shipped: Server) -> None:
    body = {"model": MODEL, "prompt": FRANCE, "add_special_tokens": False}
    tokenized = httpx.post(f"{shipped.url}/tokenize", json=body)
    limit = {"max_tokens_per_doc": tokenized.json()["count"]}
    long = f"{FRANCE} {BRAZIL * 5000}"
    assert values(score(shipped, text_1=QUESTION, text_2=long, **limit)) == pytest.approx(
        values(score(shipped, text_1=QUESTION, text_2=FRANCE)), abs=1e-6
    )


def test_an_embed_model_compares(shipped: Server) -> None:
    reply = score(shipped, model="tiny-embed", text_1=FRANCE, text_2=[FRANCE, BRAZIL])
    same, other = values(reply)
    assert same == pytest.approx(1.0, abs=1e-5)
    assert -1.0 <= other < same
