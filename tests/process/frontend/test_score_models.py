"""Scores by other models than rerankers with one label: several labels, vectors; and in today's vLLM's shape."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from msgspec import Struct
from msgspec.structs import replace

from frontend.score_shapes import ScoreReply
from ipc.fake_card import FAKE_WIDTH, fake_card
from ipc.messages import Abort, ScoreBatch, SubmitScore
from tests.support.frontend_streams import pairs_of
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler
from workers.fake_model import fake_embedding

pytestmark = pytest.mark.process

CARDS = [
    fake_card(0, "embed", "fake:embed", 0, 16, 1234),
    replace(fake_card(1, "labels", "fake:score", 0, 16, 1234), num_labels=3, labels=("bad", "fair", "good")),
    fake_card(2, "rank", "fake:score", 0, 16, 1234),
]


def rows_of(record: SubmitScore) -> list[list[float]]:
    texts = pairs_of(record)
    match record.model:
        case 0:
            return [fake_embedding(text, FAKE_WIDTH) for text in texts]
        case 1:
            return [[index + 0.0, index + 1.0, index + 2.0] for index in range(len(texts))]
        case _:
            return [[0.0] for _ in texts]


def answers(record: Struct, leave_out: int = 0) -> Iterable[Struct]:
    if isinstance(record, SubmitScore):
        rows = rows_of(record)
        for index, row in list(enumerate(rows))[: len(rows) - leave_out]:
            ids, indexes = np.array([record.stream_id], "<u8"), np.array([index], "<i4")
            yield ScoreBatch(ids.tobytes(), indexes.tobytes(), np.array(row, "<f4").tobytes())


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[httpx.Client, ScriptedScheduler]]:
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        scheduler = ScriptedScheduler(Path(folder))
        try:
            frontend = FrontendUnderTest(Path(folder), scheduler.address, CARDS, score_format="float")
            try:
                frontend.load_models()
                with httpx.Client(base_url=frontend.url, timeout=30.0) as client:
                    yield client, scheduler
            finally:
                frontend.close()
        finally:
            scheduler.close()


@pytest.fixture
def scheduler(pair: tuple[httpx.Client, ScriptedScheduler]) -> ScriptedScheduler:
    pair[1].forget()
    pair[1].answer = answers
    return pair[1]


@pytest.fixture
def client(pair: tuple[httpx.Client, ScriptedScheduler], scheduler: ScriptedScheduler) -> httpx.Client:
    return pair[0]


def score(client: httpx.Client, **body: Any) -> Any:
    reply = client.post("/v1/score", json=body)
    assert reply.status_code == 200, reply.text
    msgspec.convert(reply.json(), ScoreReply)
    return reply.json()


def vector(text: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(fake_embedding(list(text.encode()), FAKE_WIDTH))


def cosine(first: str, second: str) -> float:
    left, right = vector(first), vector(second)
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def test_todays_vllm(client: httpx.Client) -> None:
    reply = score(client, text_1="a", text_2=["b", "c"])  # without a name it is the reranker
    assert reply["model"] == "rank"
    assert [item["score"] for item in reply["data"]] == [0.5, 0.5]
    assert reply["usage"] == {"prompt_tokens": 6, "total_tokens": 6, "completion_tokens": 0}


def test_several_labels(client: httpx.Client) -> None:
    body = {"model": "labels", "text_1": "a", "text_2": ["b", "c"]}
    assert [item["score"] for item in score(client, **body)["data"]] == [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    weights = np.exp([0.0, 1.0, 2.0])
    for item in score(client, **body, activation="softmax")["data"]:
        assert item["score"] == pytest.approx((weights / weights.sum()).tolist(), abs=1e-12)
    refused = client.post("/rerank", json={"model": "labels", "query": "a", "documents": ["b"]})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "model"


def test_vectors_are_compared(client: httpx.Client, scheduler: ScriptedScheduler) -> None:
    reply = score(client, model="embed", text_1="one", text_2=["two", "one", "two"])
    expected = [cosine("one", "two"), 1.0, cosine("one", "two")]
    assert [item["score"] for item in reply["data"]] == pytest.approx(expected, abs=1e-6)
    assert len(scheduler.next(SubmitScore).lengths) // 4 == 3  # "one" as a query, "two" and "one" as documents
    ranked = client.post("/rerank", json={"model": "embed", "query": "one", "documents": ["two", "one"]}).json()
    assert [result["index"] for result in ranked["results"]] == [1, 0]


def test_pairs_whose_texts_came_in_time(client: httpx.Client, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = lambda record: answers(record, leave_out=1)
    reply = score(client, model="embed", text_1="one", text_2=["two", "three"], timeout=0.2)
    assert reply["partial"] is True
    assert [item["score"] is None for item in reply["data"]] == [False, True]
    assert scheduler.next(Abort)


def test_long_texts_of_vectors(client: httpx.Client, scheduler: ScriptedScheduler) -> None:
    body = {"model": "embed", "query": "q", "documents": ["d" * 9000]}
    assert client.post("/v1/rerank", json=body).json()["error"]["param"] == "documents[0]"
    assert client.post("/v1/rerank", json=body | {"max_tokens_per_doc": 7}).status_code == 200
    assert scheduler.next(SubmitScore).lengths == b"".join(n.to_bytes(4, "little") for n in (1, 7))
