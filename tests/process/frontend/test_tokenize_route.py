"""/tokenize and /detokenize, for models of every task."""

from typing import Any

import httpx
import msgspec
import pytest

from frontend.score_shapes import DetokenizeReply, TeiToken, TokenizeReply
from tests.support.frontend_under_test import FrontendUnderTest

pytestmark = pytest.mark.process


def post(frontend: FrontendUnderTest, path: str, **body: Any) -> Any:
    reply = httpx.post(f"{frontend.url}{path}", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("path", ["/tokenize", "/v1/tokenize"])
@pytest.mark.parametrize("model", ["chat", "rank", None])
def test_prompt(frontend: FrontendUnderTest, path: str, model: str | None) -> None:
    reply = post(frontend, path, prompt="abc", model=model)
    msgspec.convert(reply, TokenizeReply)
    assert reply == {"count": 3, "max_model_len": 4096, "tokens": [97, 98, 99], "token_strs": None}
    assert post(frontend, path, prompt="ab", return_token_strs=True)["token_strs"] == ["a", "b"]


def test_messages(frontend: FrontendUnderTest) -> None:
    messages = [{"role": "user", "content": "hi"}]
    asked = post(frontend, "/tokenize", messages=messages)
    bare = post(frontend, "/tokenize", messages=messages, add_generation_prompt=False)
    assert bytes(bare["tokens"]) == b"<|user|>hi\n"
    assert bytes(asked["tokens"]) == b"<|user|>hi\n<|assistant|>"
    tool = {"type": "function", "function": {"name": "look_up"}}
    assert b"look_up" in bytes(post(frontend, "/tokenize", messages=messages, tools=[tool])["tokens"])


def test_tei(frontend: FrontendUnderTest) -> None:
    reply = post(frontend, "/tokenize", inputs=["ab", "c"])
    msgspec.convert(reply, list[list[TeiToken]])
    assert reply[1] == [{"id": 99, "text": "c", "special": False, "start": 0, "stop": 1}]
    assert post(frontend, "/tokenize", inputs="ab") == reply[:1]


@pytest.mark.parametrize("path", ["/detokenize", "/v1/detokenize"])
def test_detokenize(frontend: FrontendUnderTest, path: str) -> None:
    reply = post(frontend, path, tokens=[104, 195, 169, 256])
    msgspec.convert(reply, DetokenizeReply)
    assert reply == {"prompt": "hé"}
    assert post(frontend, path, tokens=[], model="rank") == {"prompt": ""}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "a", "inputs": "a"}, "inputs"),
        ("/tokenize", {"prompt": "a", "tools": []}, "tools"),
        ("/tokenize", {"inputs": "a", "return_token_strs": True}, "return_token_strs"),
        ("/tokenize", {"inputs": []}, "inputs"),
        ("/tokenize", {"inputs": ["a" * 200_000] * 2}, "inputs"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": [1, 257]}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
    ],
)
def test_refusals_name_the_field(frontend: FrontendUnderTest, path: str, body: dict[str, Any], param: str) -> None:
    reply = httpx.post(f"{frontend.url}{path}", json=body)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == param


def test_unknown_model(frontend: FrontendUnderTest) -> None:
    assert httpx.post(f"{frontend.url}/tokenize", json={"prompt": "a", "model": "x"}).status_code == 404
