"""Vectors after the worker: cut, of length 1, compared; and as replies carry them."""

import asyncio
from base64 import b64decode

import msgspec
import numpy as np
import orjson
import pytest

from frontend import vector_encoding
from frontend.label_activation import activated
from frontend.vector_encoding import cohere_encoded, encoded, encoded_rows, numbers_reply
from frontend.vectors import check_dimensions, finish, normalized, pair_similarities
from ipc.errors import RequestError
from ipc.fake_card import fake_card
from ipc.model_card import Embedding

ROWS = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 0.0]], np.float32)


def test_cut_and_normalised_again() -> None:
    assert finish(ROWS, None, False).tolist() == ROWS.tolist()
    np.testing.assert_allclose(finish(ROWS, 2, True), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-7)
    np.testing.assert_allclose(finish(ROWS, None, True)[0], np.array([3, 4, 12]) / 13, rtol=1e-7)
    assert ROWS[0].tolist() == [3.0, 4.0, 12.0]


def test_tiny_vectors_have_length_1_too() -> None:
    small = np.full((1, 4), 1e-30, np.float32)  # its square is no float32
    np.testing.assert_allclose(normalized(small), np.full((1, 4), 1e-18), rtol=1e-6)


def test_dimensions() -> None:
    card = fake_card(0, "e", "fake:embed", 0, 16, 0)
    for fine in (None, 1, 31, 32):
        check_dimensions(fine, card, "dimensions")
    with pytest.raises(RequestError, match="32 dimensions") as caught:
        check_dimensions(33, card, "dimensions")
    assert caught.value.param == "dimensions"
    stated = msgspec.structs.replace(card, embedding=Embedding(dimensions=(8, 16)))
    check_dimensions(8, stated, "dimensions")
    check_dimensions(32, stated, "dimensions")
    with pytest.raises(RequestError, match="8, 16, 32"):
        check_dimensions(9, stated, "dimensions")


def test_similarities() -> None:
    first, second = np.array([[3.0, 4.0], [0, 0]], np.float32), np.array([[4.0, 3.0], [1, 1]], np.float32)
    assert pair_similarities(first, second, "cosine").tolist() == [0.96, 0.0]
    assert pair_similarities(first, second, "dot").tolist() == [24.0, 0.0]
    assert pair_similarities(first, second, "manhattan").tolist() == [-2.0, -2.0]
    np.testing.assert_allclose(pair_similarities(first, second, "euclidean"), [-(2**0.5), -(2**0.5)])


def test_base64_is_little_endian_float32() -> None:
    text = orjson.loads(orjson.dumps(encoded(ROWS[0], "base64")))
    assert np.frombuffer(b64decode(text), "<f4").tolist() == [3.0, 4.0, 12.0]


def test_floats_have_as_many_digits_as_they_hold() -> None:
    reply = numbers_reply({"row": encoded(np.array([0.1, -2.5], np.float32), "float")})
    assert reply.body == b'{"row":[0.1,-2.5]}'
    cut = numbers_reply({"row": encoded(ROWS[:, :2][0], None)})
    assert orjson.loads(cut.body or b"") == {"row": [3.0, 4.0]}


def test_many_rows_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_encoding, "NUMBERS_A_TURN", 8)
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    written = asyncio.run(encoded_rows(rows, "float"))
    assert orjson.loads(orjson.dumps(written)) == rows.tolist()


def test_cohere_types() -> None:
    unit = np.array([[1.0, -1.0, 0.5, 0.0, 0.1, -0.1, 0.0, 0.2]], np.float32)
    assert cohere_encoded(unit, "int8")[0].tolist() == [127, -127, 64, 0, 13, -13, 0, 25]
    assert cohere_encoded(unit, "uint8")[0].tolist() == [255, 1, 192, 128, 141, 115, 128, 153]
    assert cohere_encoded(unit, "ubinary")[0].tolist() == [0b10101001]
    assert cohere_encoded(unit, "binary")[0].tolist() == [0b10101001 - 128]
    assert cohere_encoded(unit, "float")[0].tolist() == unit[0].tolist()
    assert np.frombuffer(b64decode(orjson.dumps(cohere_encoded(unit, "base64")[0])), "<f4").tolist() == unit[0].tolist()


def test_label_activations() -> None:
    logits = np.array([[1000.0, 999.0], [-1000.0, 20.0]], np.float32)
    np.testing.assert_allclose(activated(logits, "softmax")[0], [0.73105858, 0.26894142])
    found = activated(logits, "sigmoid")
    np.testing.assert_allclose(found, [[1.0, 1.0], [0.0, 1 / (1 + np.exp(-20.0))]])
    assert found[1, 1] < 1.0
    assert activated(logits, "none").tolist() == logits.tolist()
