"""Reranking with the shipped reranker, in the words of each dialect's own documentation."""

from typing import Any

import httpx
import pytest

from tests.support.running_server import Server

QUESTION = "What is the capital of France?"
BRAZIL, FRANCE = "The capital of Brazil is Brasilia.", "The capital of France is Paris."


def post(server: Server, path: str, **body: Any) -> Any:
    response = httpx.post(f"{server.url}{path}", json=body, timeout=30.0)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_answer_comes_first_and_has_the_scores_of_score(shipped: Server) -> None:
    scored = post(shipped, "/v1/score", model="tiny-rerank", text_1=QUESTION, text_2=[BRAZIL, FRANCE])["data"]
    reply = post(shipped, "/v1/rerank", model="tiny-rerank", query=QUESTION, documents=[BRAZIL, FRANCE])
    assert [result["index"] for result in reply["results"]] == [1, 0]
    for result in reply["results"]:
        assert result["relevance_score"] == pytest.approx(scored[result["index"]]["score"][0], abs=1e-6)
    assert reply["results"][0]["document"] == {"text": FRANCE}
    assert reply["usage"]["total_tokens"] > 0


def test_cohere_v2(shipped: Server) -> None:
    body = {"model": "tiny-rerank", "query": QUESTION, "documents": [BRAZIL, f"{FRANCE} {BRAZIL * 900}"], "top_n": 1}
    reply = post(shipped, "/v2/rerank", **body, max_tokens_per_doc=24)
    assert set(reply["results"][0]) == {"index", "relevance_score"}
    assert reply["results"][0]["index"] == 1
    assert reply["meta"]["billed_units"] == {"search_units": 1}


def test_tei(shipped: Server) -> None:
    reply = post(shipped, "/rerank", query=QUESTION, texts=[BRAZIL, FRANCE], return_text=True)
    assert [(one["index"], one["text"]) for one in reply] == [(1, FRANCE), (0, BRAZIL)]
    assert [set(one) for one in reply] == [{"index", "text", "score"}] * 2


def test_equal_documents_stay_in_order(shipped: Server) -> None:
    reply = post(shipped, "/rerank", query=QUESTION, documents=[FRANCE] * 20)
    assert [result["index"] for result in reply["results"]] == list(range(20))


def test_an_embed_model_reranks_by_likeness(shipped: Server) -> None:
    reply = post(shipped, "/rerank", model="tiny-embed", query=FRANCE, documents=[BRAZIL, FRANCE])
    assert [result["index"] for result in reply["results"]] == [1, 0]
