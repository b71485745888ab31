"""The order of documents, and the answers in each dialect."""

from typing import Any

import msgspec
import numpy as np
import pytest

from frontend.rerank_replies import Ranked, ranking, rerank_reply, tei_reply
from frontend.schema_rerank import COHERE_V2_DOC_TOKENS, Dialect, RerankRequest, dialect_of, rerank_limits
from frontend.score_pairs import PairLimits
from frontend.score_shapes import RerankReply, TeiRank
from ipc.errors import RequestError


def request(**fields: Any) -> RerankRequest:
    return msgspec.convert({"query": "q", **fields}, RerankRequest)


def ranked(*raw: float, top_n: int = 0, activation: Any = "sigmoid") -> list[Ranked]:
    scores = np.array(raw, np.float32).astype(np.float64)[:, np.newaxis]
    return ranking(np.arange(len(raw)), scores, activation, top_n)


def test_order() -> None:
    assert [one.place for one in ranked(-1.0, 3.0, 0.5)] == [1, 2, 0]
    assert [one.place for one in ranked(-1.0, 3.0, 0.5, top_n=2)] == [1, 2]
    assert [one.place for one in ranked(1.0, 2.0, top_n=9)] == [1, 0]
    assert [one.score for one in ranked(0.0, 7.5, activation="none")] == [7.5, 0.0]


def test_equal_scores_keep_the_order_of_the_documents() -> None:
    assert [one.place for one in ranked(*[1.0] * 50)] == list(range(50))


def test_an_activation_that_saturates_does_not_destroy_the_order() -> None:
    found = ranked(50.0, 90.0, 70.0)
    assert [one.score for one in found] == [1.0, 1.0, 1.0]
    assert [one.place for one in found] == [1, 2, 0]


def test_scores_of_some_documents() -> None:
    scores = np.array([[1.0], [2.0]])
    assert [one.place for one in ranking(np.array([3, 8]), scores, "none", 0)] == [8, 3]


@pytest.mark.parametrize(
    ("path", "fields", "dialect"),
    [
        ("/rerank", {"documents": ["a"]}, Dialect.JINA),
        ("/v1/rerank", {"documents": ["a"]}, Dialect.JINA),
        ("/v2/rerank", {"documents": ["a"]}, Dialect.COHERE_V2),
        ("/rerank", {"texts": ["a"]}, Dialect.TEI),
    ],
)
def test_dialects(path: str, fields: dict[str, Any], dialect: Dialect) -> None:
    assert dialect_of(path, request(**fields)) is dialect


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/rerank", {}, "documents"),
        ("/v1/rerank", {"texts": ["a"]}, "texts"),
        ("/rerank", {"texts": ["a"], "documents": ["a"]}, "texts"),
        ("/rerank", {"documents": ["a"], "raw_scores": True}, "raw_scores"),
        ("/rerank", {"documents": ["a"], "return_text": False}, "return_text"),
        ("/rerank", {"texts": ["a"], "top_n": 1}, "top_n"),
        ("/rerank", {"texts": ["a"], "raw_scores": True, "use_activation": True}, "raw_scores"),
    ],
)
def test_mixed_dialects(path: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        dialect_of(path, request(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "dialect", "limits"),
    [
        ({}, Dialect.JINA, PairLimits()),
        ({"truncate_prompt_tokens": 5, "truncation_side": "left"}, Dialect.JINA, PairLimits(5, "left")),
        ({}, Dialect.COHERE_V2, PairLimits(-1, max_doc_tokens=COHERE_V2_DOC_TOKENS)),
        ({"max_tokens_per_doc": 7}, Dialect.COHERE_V2, PairLimits(-1, max_doc_tokens=7)),
        ({"max_tokens_per_query": 3}, Dialect.JINA, PairLimits(max_query_tokens=3)),
        ({}, Dialect.TEI, PairLimits(-1)),
        ({"truncate": False}, Dialect.TEI, PairLimits()),
        ({"truncate": True, "truncation_direction": "Left"}, Dialect.TEI, PairLimits(-1, "left")),
    ],
)
def test_long_texts(fields: dict[str, Any], dialect: Dialect, limits: PairLimits) -> None:
    assert rerank_limits(request(**fields), dialect) == limits


def test_replies_have_the_shapes_that_are_described() -> None:
    places = [Ranked(1, 0.9), Ranked(0, 0.1)]
    for dialect, given, with_documents in [
        (Dialect.JINA, None, True),
        (Dialect.JINA, False, False),
        (Dialect.COHERE_V2, None, False),
        (Dialect.COHERE_V2, True, True),
    ]:
        fields = request(documents=["a", "b"], return_documents=given)
        body = rerank_reply(places, ["a", "b"], fields, dialect, "m", 7, is_complete=True)
        msgspec.convert(body, RerankReply)
        assert [("document" in result) for result in body["results"]] == [with_documents] * 2
        assert "partial" not in body
    assert body["results"][0] == {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}
    assert body["meta"] == {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    assert body["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_what_came_in_time_is_marked() -> None:
    fields = request(documents=["a"] * 101)
    body = rerank_reply([Ranked(1, 0.9)], ["a"] * 101, fields, Dialect.JINA, "m", 7, is_complete=False)
    assert body["partial"] is True
    assert body["meta"]["billed_units"]["search_units"] == 2
    msgspec.convert(body, RerankReply)


def test_tei() -> None:
    places = [Ranked(1, 0.9), Ranked(0, 0.1)]
    assert tei_reply(places, ["a", "b"], with_text=False) == [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]
    body = tei_reply(places, ["a", "b"], with_text=True)
    assert body[0] == {"index": 1, "text": "b", "score": 0.9}
    msgspec.convert(body, list[TeiRank])
