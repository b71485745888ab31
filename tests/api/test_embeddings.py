"""Vectors of the shipped embedding model through the official client, and as sentence-transformers makes them."""

import asyncio
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import openai
import pytest
from openai.types import CreateEmbeddingResponse
from sentence_transformers import SentenceTransformer

from tests.support.running_server import Server

MODEL = "tiny-embed"
FOLDER = Path(__file__).parents[2] / "zerolane" / "tiny" / MODEL
TEXTS = [
    "What is the capital of France?",
    "The capital of France is Paris.",
    "The capital of Brazil is Brasilia.",
    "People in France speak French.",
]


def vectors_of(reply: CreateEmbeddingResponse) -> npt.NDArray[np.float64]:
    assert [item.index for item in reply.data] == list(range(len(reply.data)))
    return np.array([item.embedding for item in reply.data])


@pytest.fixture(scope="module")
def theirs() -> SentenceTransformer:
    return SentenceTransformer(str(FOLDER), device="cpu", model_kwargs={"dtype": "float32"})


def test_the_clients_default_is_sentence_transformers_vector(
    client: openai.OpenAI, theirs: SentenceTransformer
) -> None:
    reply = client.embeddings.create(model=MODEL, input=TEXTS)  # base64 on the wire
    assert (reply.object, reply.model) == ("list", MODEL)
    found = vectors_of(reply)
    expected = theirs.encode(TEXTS, show_progress_bar=False)
    assert found.shape == expected.shape
    assert (found * expected).sum(axis=1).min() > 0.999  # both of length 1; ours perhaps computed in bfloat16
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    count = sum(len(ids) for ids in theirs.tokenizer(TEXTS)["input_ids"])
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (count, count)


def test_floats_equal_base64(client: openai.OpenAI) -> None:
    floats = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float"))
    packed = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS))
    np.testing.assert_allclose(floats, packed, atol=2e-2)  # other texts in the step, perhaps in bfloat16


def test_token_inputs(client: openai.OpenAI, theirs: SentenceTransformer) -> None:
    ids = theirs.tokenizer(TEXTS)["input_ids"]
    expected = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS))
    found = vectors_of(client.embeddings.create(model=MODEL, input=ids))
    assert (found * expected).sum(axis=1).min() > 0.999
    one = vectors_of(client.embeddings.create(model=MODEL, input=ids[1]))
    assert (one[0] * expected[1]).sum() > 0.999


def test_dimensions(client: openai.OpenAI) -> None:
    whole = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS))
    for width in (64, 128, 256):
        cut = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS, dimensions=width))
        expected = whole[:, :width] / np.linalg.norm(whole[:, :width], axis=1, keepdims=True)
        assert cut.shape == expected.shape
        assert (cut * expected).sum(axis=1).min() > 0.999
    with pytest.raises(openai.BadRequestError, match="64, 128, 256"):
        client.embeddings.create(model=MODEL, input=TEXTS, dimensions=100)


def test_async_requests_side_by_side(shipped: Server) -> None:
    async def embed() -> list[CreateEmbeddingResponse]:
        async with openai.AsyncOpenAI(base_url=f"{shipped.url}/v1", api_key="unused", max_retries=0) as client:
            return await asyncio.gather(*(client.embeddings.create(model=MODEL, input=text) for text in TEXTS * 5))

    rows = [vectors_of(reply)[0] for reply in asyncio.run(embed())]
    for index, row in enumerate(rows):
        assert float(row @ rows[index % len(TEXTS)]) > 0.999


def test_the_answer_is_the_nearest_text(client: openai.OpenAI) -> None:
    question, *texts = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS))
    assert int(np.argmax([question @ text for text in texts])) == 0


def test_many_texts_in_one_request(client: openai.OpenAI) -> None:
    found = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS * 100))
    assert (found * np.tile(found[: len(TEXTS)], (100, 1))).sum(axis=1).min() > 0.999


def test_long_texts(client: openai.OpenAI) -> None:
    long = "The capital of France is Paris. " * 100
    with pytest.raises(openai.BadRequestError, match="maximum context length is 256 tokens"):
        client.embeddings.create(model=MODEL, input=long)
    reply = client.embeddings.create(model=MODEL, input=long, extra_body={"truncate_prompt_tokens": -1})
    assert reply.usage.prompt_tokens == 256


def test_pairs_are_scored_by_their_vectors(shipped: Server, client: openai.OpenAI) -> None:
    body = {"model": MODEL, "text_1": TEXTS[0], "text_2": TEXTS[1:]}
    reply = httpx.post(f"{shipped.url}/v1/score", json=body, timeout=30.0)
    assert reply.status_code == 200, reply.text
    question, *texts = vectors_of(client.embeddings.create(model=MODEL, input=TEXTS))
    scores = [item["score"][0] for item in reply.json()["data"]]
    np.testing.assert_allclose(scores, [question @ text for text in texts], atol=1e-2)


def test_other_models_do_not_embed(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot serve /v1/embeddings"):
        client.embeddings.create(model="tiny-chat", input="a")
