"""/v1/embeddings, /pooling, /classify and /v2/embed: forms, shapes, limits, refusals, lost rows."""

import tempfile
from base64 import b64decode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from msgspec import Struct
from msgspec.structs import replace

from frontend.routes import ROUTES
from ipc.errors import ErrorCode
from ipc.fake_card import FAKE_WIDTH, fake_card
from ipc.messages import Failed, ScoreBatch, SubmitScore
from ipc.model_card import Embedding
from tests.support.frontend_streams import pairs_of
from tests.support.frontend_under_test import FrontendUnderTest
from tests.support.scripted_scheduler import ScriptedScheduler
from workers.fake_model import fake_embedding

pytestmark = pytest.mark.process
EMBEDDING = Embedding(prompts=(("query", "q: "),), query_prompt="q: ")
CARDS = [
    replace(fake_card(0, "embed", "fake:embed", 0, 16, 1234), embedding=EMBEDDING),
    replace(
        fake_card(1, "labels", "fake:score", 0, 16, 1234),
        num_labels=3,
        labels=("bad", "fair", "good"),
        label_activation="softmax",
    ),
]
ALL = ["/v1/embeddings", "/pooling", "/classify"]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[httpx.Client, ScriptedScheduler]]:
    with tempfile.TemporaryDirectory(prefix="zl", ignore_cleanup_errors=True) as folder:
        scheduler = ScriptedScheduler(Path(folder))
        try:
            frontend = FrontendUnderTest(Path(folder), scheduler.address, CARDS)
            try:
                frontend.load_models()
                with httpx.Client(base_url=frontend.url, timeout=30.0) as client:
                    yield client, scheduler
            finally:
                frontend.close()
        finally:
            scheduler.close()


def rows_of(record: SubmitScore) -> list[list[float]]:
    """What the fake models say: vectors, and as logits the number of the text plus 0, 1, 2."""
    if record.model == 0:
        return [fake_embedding(text, FAKE_WIDTH) for text in pairs_of(record)]
    return [[index + 0.0, index + 1.0, index + 2.0] for index in range(len(record.lengths) // 4)]


def answer(record: Struct) -> Iterable[Struct]:
    """Last text first, one record each."""
    if isinstance(record, SubmitScore):
        rows = rows_of(record)
        for index in reversed(range(len(rows))):
            ids, indexes = np.array([record.stream_id], "<u8"), np.array([index], "<i4")
            yield ScoreBatch(ids.tobytes(), indexes.tobytes(), np.array(rows[index], "<f4").tobytes())


@pytest.fixture
def client(pair: tuple[httpx.Client, ScriptedScheduler]) -> httpx.Client:
    pair[1].forget()
    pair[1].answer = answer
    return pair[0]


@pytest.fixture
def scheduler(pair: tuple[httpx.Client, ScriptedScheduler]) -> ScriptedScheduler:
    return pair[1]


def post(client: httpx.Client, path: str, **body: Any) -> httpx.Response:
    return client.post(path, json=body)


def good(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """The reply, which is as the API's description says."""
    response = post(client, path, **body)
    assert response.status_code == 200, response.text
    shape = next(route.reply for route in ROUTES if path in route.paths)
    msgspec.json.decode(response.content, type=shape)
    reply: dict[str, Any] = response.json()
    return reply


def unit(text: str | list[int]) -> npt.NDArray[np.float64]:
    tokens = list(text.encode()) if isinstance(text, str) else text
    row = np.array(fake_embedding(tokens, FAKE_WIDTH))
    length: float = np.linalg.norm(row).item()
    return row / length


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_forms_and_shape(client: httpx.Client, path: str) -> None:
    forms: list[tuple[Any, list[str | list[int]]]] = [
        ("a", ["a"]),
        (["a", "bc"], ["a", "bc"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ]
    for given, texts in forms:
        reply = good(client, path, model="embed", input=given, user="me")
        assert list(reply) == ["id", "object", "created", "model", "data", "usage"]
        assert (reply["object"], reply["model"]) == ("list", "embed")
        assert [list(item) for item in reply["data"]] == [["object", "index", "embedding"]] * len(texts)
        assert [item["index"] for item in reply["data"]] == list(range(len(texts)))
        for item, text in zip(reply["data"], texts, strict=True):
            np.testing.assert_allclose(item["embedding"], unit(text), atol=1e-6)
        count = sum(map(len, texts))
        assert reply["usage"] == {"prompt_tokens": count, "total_tokens": count}


def test_base64_dimensions_and_the_raw_vector(client: httpx.Client) -> None:
    (item,) = good(client, "/v1/embeddings", input="hi", encoding_format="base64", dimensions=8)["data"]
    found = np.frombuffer(b64decode(item["embedding"]), "<f4")
    cut = unit("hi")[:8]
    np.testing.assert_allclose(found, cut / np.linalg.norm(cut), atol=1e-6)
    (item,) = good(client, "/v1/embeddings", input="hi", normalize=False)["data"]
    np.testing.assert_allclose(item["embedding"], fake_embedding(list(b"hi"), FAKE_WIDTH), atol=1e-7)


def test_prompts_and_messages(client: httpx.Client) -> None:
    for fields in ({"prompt_name": "query"}, {"input_type": "query"}):
        (item,) = good(client, "/v1/embeddings", input="hi", **fields)["data"]
        np.testing.assert_allclose(item["embedding"], unit("q: hi"), atol=1e-6)
    messages = [{"role": "user", "content": "hi"}]
    (item,) = good(client, "/v1/embeddings", messages=messages)["data"]
    np.testing.assert_allclose(item["embedding"], unit("<|user|>hi\n"), atol=1e-6)


def test_truncation(client: httpx.Client) -> None:
    for side, expected in (("right", "abc"), ("left", "cde"), (None, "abc")):
        body = {"input": "abcde", "truncate_prompt_tokens": 3, "truncation_side": side}
        reply = good(client, "/v1/embeddings", **body)
        np.testing.assert_allclose(reply["data"][0]["embedding"], unit(expected), atol=1e-6)
        assert reply["usage"]["prompt_tokens"] == 3
    assert good(client, "/v1/embeddings", input="x" * 5000, truncate_prompt_tokens=-1)["usage"]["total_tokens"] == 4096


@pytest.mark.parametrize("path", ["/pooling", "/v1/pooling"])
def test_pooling(client: httpx.Client, path: str) -> None:
    reply = good(client, path, input=["a", "b"])
    assert [list(item) for item in reply["data"]] == [["index", "object", "data"]] * 2
    assert reply["data"][1]["object"] == "pooling"
    np.testing.assert_allclose(reply["data"][1]["data"], unit("b"), atol=1e-6)
    for body in ({"model": "labels"}, {"task": "classify"}, {"model": "labels", "task": "classify"}):
        (item,) = good(client, path, input="a", **body)["data"]
        np.testing.assert_allclose(item["data"], [0.09003057, 0.24472847, 0.66524096], atol=1e-7)
    raw = good(client, path, input="a", task="classify", use_activation=False, encoding_format="base64")["data"][0]
    assert np.frombuffer(b64decode(raw["data"]), "<f4").tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
def test_classify(client: httpx.Client, path: str) -> None:
    reply = good(client, path, model="labels", input=["a", "bc"])
    assert [list(item) for item in reply["data"]] == [["index", "label", "probs", "num_classes"]] * 2
    for index, item in enumerate(reply["data"]):
        assert (item["index"], item["label"], item["num_classes"]) == (index, "good", 3)
        assert sum(item["probs"]) == pytest.approx(1.0)
    assert reply["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert good(client, path, input="a", use_activation=False)["data"][0]["probs"] == [0.0, 1.0, 2.0]


def test_cohere(client: httpx.Client) -> None:
    reply = good(client, "/v2/embed", texts=["a", "b"], input_type="search_query", embedding_types=["float", "ubinary"])
    assert (reply["response_type"], reply["texts"]) == ("embeddings_by_type", ["a", "b"])
    assert reply["meta"] == {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 8}}
    np.testing.assert_allclose(reply["embeddings"]["float"][0], unit("q: a"), atol=1e-6)
    assert reply["embeddings"]["ubinary"][0] == np.packbits(unit("q: a") > 0).tolist()
    parts = {"content": [{"type": "text", "text": "a"}]}
    plain = good(client, "/v1/embed", inputs=[parts], output_dimension=4)
    assert plain["response_type"] == "embeddings_floats"
    assert len(plain["embeddings"][0]) == 4
    for how, expected in (("START", "x" * 4095 + "b"), ("END", "a" + "x" * 4095), (None, "a" + "x" * 4095)):
        reply = good(client, "/v1/embed", texts=["a" + "x" * 5000 + "b"], truncate=how)
        np.testing.assert_allclose(reply["embeddings"][0], unit(expected), atol=1e-6)
    assert post(client, "/v2/embed", texts=["a" * 5000], truncate="NONE").json()["error"]["param"] == "texts"
    for body, param in (({"images": ["x"]}, "images"), ({}, "texts"), ({"texts": ["a"], "inputs": [parts]}, "texts")):
        assert post(client, "/v2/embed", **body).json()["error"]["param"] == param


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": "a", "messages": [{"role": "user", "content": "b"}]}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [1, 257]}, "input"),
        ({"input": [-1]}, "input[0]"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "x" * 5000}, "input"),
        ({"input": "a", "truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"input": "a", "truncate_prompt_tokens": -2}, "truncate_prompt_tokens"),
        ({"input": "a", "truncation_side": "both"}, "truncation_side"),
        ({"input": "a", "encoding_format": "bytes"}, "encoding_format"),
        ({"input": "a", "model": "nobody"}, "model"),
        ({"input": "a", "embed_dtype": "float16"}, "embed_dtype"),
        ({"input": "a", "timeout": 0}, "timeout"),
        ({"messages": []}, "messages"),
    ],
)
def test_refusals(client: httpx.Client, path: str, body: dict[str, Any], param: str) -> None:
    response = post(client, path, **body)
    assert response.status_code == (404 if param == "model" else 400), response.text
    error = response.json()["error"]
    assert error["param"] == param
    if body.get("input") == "x" * 5000:
        assert "maximum context length is 4096 tokens" in error["message"]
        assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/embeddings", {"input": "a", "dimensions": 33}, "dimensions"),
        ("/v1/embeddings", {"input": "a", "dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {"input": "a", "model": "labels"}, "model"),
        ("/v1/embeddings", {"input": "a", "prompt_name": "nope"}, "prompt_name"),
        ("/pooling", {"input": "a", "task": "token_embed"}, "task"),
        ("/pooling", {"input": "a", "task": "dance"}, "task"),
        ("/pooling", {"input": "a", "task": "embed", "model": "labels"}, "model"),
        ("/classify", {"input": "a", "model": "embed"}, "model"),
    ],
)
def test_refusals_of_one_route(client: httpx.Client, path: str, body: dict[str, Any], param: str) -> None:
    response = post(client, path, **body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text


@pytest.mark.parametrize("path", ALL)
def test_an_error_of_the_engine_is_the_request_s(client: httpx.Client, scheduler: ScriptedScheduler, path: str) -> None:
    def fail(record: Struct) -> Iterable[Struct]:
        if isinstance(record, SubmitScore):
            yield Failed(record.stream_id, ErrorCode.STEP_FAILED, "no number")

    scheduler.answer = fail
    assert post(client, path, input="a").status_code == 500


def test_nothing_comes_in_time(client: httpx.Client, scheduler: ScriptedScheduler) -> None:
    scheduler.answer = lambda record: ()
    response = post(client, "/v1/embeddings", input="a", timeout=0.05)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
