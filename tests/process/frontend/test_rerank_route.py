"""/rerank, /v1/rerank, /v2/rerank: every dialect on one server."""

from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Struct

from frontend.score_shapes import RerankReply, TeiRank
from ipc.messages import SubmitScore
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler, answers_scores, score_rows

pytestmark = pytest.mark.process

QUERY = {"query": "which", "documents": ["a", {"text": "b"}, "c"]}
SOON_S = 0.2


def post(frontend: FrontendUnderTest, path: str, **body: Any) -> Any:
    reply = httpx.post(f"{frontend.url}{path}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def rising(scheduler: ScriptedScheduler) -> None:
    """The last document is the best; by so much that their sigmoids are equal."""
    scheduler.answer = answers_scores(lambda index: 50.0 + index)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
def test_jina_vllm_and_cohere_v1(frontend: FrontendUnderTest, scheduler: ScriptedScheduler, path: str) -> None:
    rising(scheduler)
    reply = post(frontend, path, **QUERY, model="rank", top_n=2)
    msgspec.convert(reply, RerankReply)
    assert reply["model"] == "rank"
    assert reply["results"] == [
        {"index": 2, "relevance_score": 1.0, "document": {"text": "c"}},
        {"index": 1, "relevance_score": 1.0, "document": {"text": "b"}},
    ]
    assert reply["usage"] == {"prompt_tokens": 21, "total_tokens": 21}
    assert reply["meta"]["billed_units"] == {"search_units": 1}
    raw = post(frontend, path, **QUERY, return_documents=False, top_n=0, use_activation=False)
    assert raw["results"] == [{"index": index, "relevance_score": 50.0 + index} for index in (2, 1, 0)]


def test_cohere_v2_cuts_long_documents(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    rising(scheduler)
    body = {"model": "rank", "query": "which", "documents": ["a", "b" * 9000]}
    reply = post(frontend, "/v2/rerank", **body, max_tokens_per_doc=20)
    msgspec.convert(reply, RerankReply)
    assert [set(result) for result in reply["results"]] == [{"index", "relevance_score"}] * 2
    assert reply["meta"]["api_version"] == {"version": "2"}
    assert scheduler.next(SubmitScore).lengths == b"".join(n.to_bytes(4, "little") for n in (7, 26))
    refused = httpx.post(f"{frontend.url}/v1/rerank", json=body)
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert refused.json()["error"]["param"] == "documents[1]"


def test_tei(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    rising(scheduler)
    body = {"query": "which", "texts": ["a", "b" * 9000]}
    reply = post(frontend, "/rerank", **body)
    msgspec.convert(reply, list[TeiRank])
    assert reply == [{"index": 1, "score": 1.0}, {"index": 0, "score": 1.0}]
    reply = post(frontend, "/rerank", **body, raw_scores=True, return_text=True, truncation_direction="Left")
    assert reply[1] == {"index": 0, "text": "a", "score": 50.0}
    refused = httpx.post(f"{frontend.url}/rerank", json=body | {"truncate": False})
    assert refused.json()["error"]["param"] == "texts[1]"


def first_only(record: Struct) -> Iterable[Struct]:
    if isinstance(record, SubmitScore):
        yield score_rows((record.stream_id, 1, 2.0))


def test_what_came_in_time(frontend: FrontendUnderTest, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = first_only
    reply = post(frontend, "/rerank", **QUERY, timeout=SOON_S)
    assert reply["partial"] is True
    assert [result["index"] for result in reply["results"]] == [1]
    late = httpx.post(f"{frontend.url}/rerank", json={"query": "q", "texts": ["a", "b"], "timeout": SOON_S})
    assert late.status_code == 504  # a bare list cannot say that something is missing


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": ["a", 1]}, "documents[1]"),
        ({"documents": ["a", {"image": "x"}]}, "documents[1]"),
        ({"query": None}, "query"),
        ({"top_n": -1}, "top_n"),
        ({"stream": True}, "stream"),
        ({"rank_fields": ["title"]}, "rank_fields"),
        ({"max_chunks_per_doc": 10}, "max_chunks_per_doc"),
        ({"texts": ["a"]}, "texts"),
        ({"return_text": True}, "return_text"),
        ({"model": "chat"}, "model"),
    ],
)
def test_refusals_name_the_field(frontend: FrontendUnderTest, fields: dict[str, Any], param: str) -> None:
    reply = httpx.post(f"{frontend.url}/v1/rerank", json=QUERY | fields)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == param
